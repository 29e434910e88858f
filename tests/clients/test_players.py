"""A player that seeks in a film reads what it needs, not the file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.access_log import access_lines, errors_in
from tests.clients.programs import IS_BIG, finish, require
from tests.clients.samples import MIB, write_film
from tests.running_server import running_server

FILM_SECONDS = 270 if IS_BIG else 45
FILM_BITS_PER_SECOND = 16_000_000
FILM_BYTES = FILM_SECONDS * FILM_BITS_PER_SECOND // 8
# A connection that a player drops has some MiB in the socket buffers of both sides already.
FEW_BYTES = 16 * MIB


@dataclass(frozen=True, slots=True)
class Film:
    """A film in a folder of its own, its index at the end."""

    root: Path
    path: Path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Film]:
    require("ffmpeg")
    root = tmp_path_factory.mktemp("root")
    path = root / "film.mp4"
    write_film(path, FILM_SECONDS, FILM_BITS_PER_SECOND)
    yield Film(root, path)
    path.unlink()


def test_the_film_has_its_index_at_the_end(film: Film) -> None:
    assert film.path.stat().st_size > FILM_BYTES * 0.9
    with film.path.open("rb") as file:
        file.seek(-MIB, 2)
        assert b"moov" in file.read()


@pytest.mark.parametrize("sending", ["zero-copy", "chunked"])
def test_ffmpeg_reads_a_few_mib_to_show_a_picture_near_the_end(film: Film, sending: str) -> None:
    with running_server(film.root, f"--{sending}", "film.mp4") as server:
        shown = _picture_near_the_end(f"{server.url}film.mp4")
        server.stop()
        lines = access_lines(server, "/film.mp4")
        assert errors_in(server) == []
    assert shown == _picture_near_the_end(str(film.path))
    assert 206 in {line.status for line in lines}
    read = sum(line.bytes for line in lines)
    print(f"ffmpeg, {sending}: {read} of {film.path.stat().st_size} bytes in {len(lines)} requests")
    assert read < FEW_BYTES, lines


def _picture_near_the_end(source: str) -> str:
    """The digest of the picture that ffmpeg shows two seconds before the end."""
    shown = finish(
        [
            *("ffmpeg", "-nostdin", "-loglevel", "error", "-ss", str(FILM_SECONDS - 2)),
            *("-i", source, "-frames:v", "1", "-f", "framemd5", "-"),
        ]
    )
    assert shown.returncode == 0, shown.stderr
    pictures = [line for line in shown.stdout.splitlines() if not line.startswith("#")]
    assert len(pictures) == 1, shown.stdout
    return pictures[0]
