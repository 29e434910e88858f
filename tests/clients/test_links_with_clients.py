"""Real programs get files by signed links: what is one delivery, what is one too many."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients.access_log import errors_in
from tests.clients.programs import IS_BIG, PATIENCE_SECONDS, finish, require, running, wait_until
from tests.clients.samples import MIB, bytes_on_disk, sha256_of, write_film, write_random
from tests.running_server import REPOSITORY, RunningServer, running_server

FILM_SECONDS = 45
FILM_BITS_PER_SECOND = 16_000_000
RATE = 4_000_000
PACED_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Shared:
    """A folder of films, and the folder of its server's state."""

    root: Path
    state: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"FILESERVE_ROOT": str(self.root), "FILESERVE_STATE_DIR": str(self.state)}

    def fileserve(self, *words: str) -> str:
        """What a command prints."""
        ended = subprocess.run(
            [sys.executable, "-m", "cli", *words],
            env={**os.environ, **self.environment},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
        return ended.stdout

    def link(self, server: RunningServer, *words: str) -> str:
        """The URL of a new link, for that server."""
        return server.url.rstrip("/") + urlsplit(self.fileserve("link", *words).strip()).path

    def deliveries(self) -> list[int]:
        """How many each link has had, the oldest link first."""
        return [link["deliveries"] for link in json.loads(self.fileserve("link", "list", "--json"))]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    require("ffmpeg", "curl", "aria2c", "wget")
    root = tmp_path_factory.mktemp("root")
    (root / "films").mkdir()
    write_film(root / "films" / "film.mp4", FILM_SECONDS, FILM_BITS_PER_SECOND)
    write_random(root / "films" / "paced.bin", PACED_BYTES)
    yield root
    (root / "films" / "film.mp4").unlink()


@pytest.fixture
def shared(films: Path, tmp_path: Path) -> Shared:
    state = tmp_path / "state"
    state.mkdir()
    return Shared(films, state)


@pytest.mark.parametrize("workers", ["1", "2"] if IS_BIG else ["2"])
def test_eight_connections_a_resumed_download_and_a_seeking_player_are_three_deliveries(
    shared: Shared, tmp_path: Path, workers: str
) -> None:
    film = shared.root / "films" / "film.mp4"
    with running_server(shared.root, "--workers", workers, env=shared.environment) as server:
        url = shared.link(server, "films/film.mp4", "--downloads", "3")
        _aria2(url, tmp_path / "by-aria2.mp4")
        assert shared.deliveries() == [1]
        _curl_twice(url, tmp_path / "by-curl.mp4")
        assert shared.deliveries() == [2]
        _seek(url)
        _seek(url)
        assert shared.deliveries() == [3]
        refused = finish(["curl", "-s", "-i", "-A", "fourth", "-H", "Accept: text/html", url])
        assert refused.stdout.startswith("HTTP/1.1 410 ")
        assert "This link has been used up" in refused.stdout
        # Those who have a delivery keep it.
        _seek(url)
        assert finish(["wget", "-q", "-O", os.devnull, url]).returncode != 0
        server.stop()
        assert shared.deliveries() == [3]
        assert errors_in(server) == []
        assert url.split("/")[5] not in server.output.text()
    assert sha256_of(tmp_path / "by-aria2.mp4") == sha256_of(film)
    assert sha256_of(tmp_path / "by-curl.mp4") == sha256_of(film)


def test_a_folder_link_goes_file_by_file_by_its_metalink(shared: Shared, tmp_path: Path) -> None:
    with running_server(shared.root, "--private", env=shared.environment) as server:
        url = shared.link(server, "films", "--downloads", "1")
        metalink = [f"{url}?manifest=metalink"]
        got = finish(
            ["aria2c", "-q", "--no-conf=true", "--follow-metalink=mem", "-d", str(tmp_path),
             *metalink]
        )  # fmt: skip
        assert got.returncode == 0, got.stdout + got.stderr
        assert shared.deliveries() == [1]
    for name in ("film.mp4", "paced.bin"):
        assert sha256_of(tmp_path / name) == sha256_of(shared.root / "films" / name)


@pytest.mark.parametrize("sending", ["zero-copy", "chunked"])
def test_four_connections_share_the_rate_of_a_link(
    shared: Shared, tmp_path: Path, sending: str
) -> None:
    with running_server(shared.root, f"--{sending}", "films", env=shared.environment) as server:
        url = shared.link(server, "films/paced.bin", "--rate", str(RATE))
        began = time.monotonic()
        _aria2(url, tmp_path / "paced.bin", connections=4)
        seconds = time.monotonic() - began
    assert sha256_of(tmp_path / "paced.bin") == sha256_of(shared.root / "films" / "paced.bin")
    # The first tenth of a second is given in advance.
    assert seconds > PACED_BYTES / RATE - 0.5, f"{PACED_BYTES} bytes in {seconds:.2f} s"


def test_a_browser_that_is_told_to_save_gets_the_name(shared: Shared, tmp_path: Path) -> None:
    with running_server(shared.root, env=shared.environment) as server:
        url = shared.link(server, "films/paced.bin", "--attachment")
        got = finish(["curl", "-s", "-O", "-J", "--output-dir", str(tmp_path), url])
    assert got.returncode == 0
    assert sha256_of(tmp_path / "paced.bin") == sha256_of(shared.root / "films" / "paced.bin")


def _aria2(url: str, target: Path, connections: int = 8) -> None:
    many = [f"-x{connections}", f"-s{connections}", "--min-split-size=1M"]
    place = ["-d", str(target.parent), "-o", target.name]
    fixed = ["--quiet", "--no-conf=true", "--file-allocation=none"]
    got = finish(["aria2c", *fixed, *many, *place, url])
    assert got.returncode == 0, got.stdout + got.stderr


def _curl_twice(url: str, target: Path) -> None:
    """A download that breaks off at its beginning, and goes on."""
    command = ["curl", "--silent", "--fail", "-C", "-", "-o", str(target), url]
    with running([*command, "--limit-rate", "4M"]):
        wait_until(lambda: bytes_on_disk(target) > 0, "the first bytes")
    assert 0 < target.stat().st_size < FILM_SECONDS * MIB
    resumed = finish(command)
    assert resumed.returncode == 0, resumed.stderr


def _seek(url: str) -> None:
    """A player that shows a picture near the end of the film."""
    start = ["-ss", str(FILM_SECONDS - 2), "-i", url]
    shown = finish(
        ["ffmpeg", "-nostdin", "-v", "error", *start, "-frames:v", "1", "-f", "null", "-"]
    )
    assert shown.returncode == 0, shown.stderr
