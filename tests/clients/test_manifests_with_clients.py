"""Whole folders by their manifests: aria2 fetches them file by file, sha256sum verifies them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.access_log import AccessLine, access_lines, errors_in
from tests.clients.downloads import get
from tests.clients.programs import IS_BIG, PATIENCE_SECONDS, finish, require, running, wait_until
from tests.clients.samples import MIB, bytes_on_disk, write_random
from tests.running_server import (
    REPOSITORY,
    STRICT_FLAGS,
    RunningServer,
    free_port,
    running_server,
)

LARGE = (1024 if IS_BIG else 48) * MIB
LARGE_FILES = 4
# The server is killed once a quarter has arrived; at this rate that leaves twelve seconds to do so.
LIMITED_BYTES_PER_SECOND = LARGE * LARGE_FILES // 16
# Of 48 pieces, a MiB each; the damaged byte is in the eighth.
REPAIRED = 48 * MIB
DAMAGED_AT = 7 * MIB + 12_345
CHECKSUM_ERROR = 32  # aria2c(1), EXIT STATUS
# Without an ampersand: aria2 1.36 saves `a & b` as `a &#38; b`, whatever way it is written in XML.
ODD_NAMES = [
    "a b, c.txt",
    "100%.txt",
    "%41.txt",
    "question?.txt",
    "hash#.txt",
    "quote'\".txt",
    "<markup>.txt",
    "Grüße/日本語.txt",
    "deep/er/est.txt",
    "-dash.txt",
    "-",
    "$HOME.txt",
    "~.txt",
    "semi;colon.txt",
    "empty.txt",
]


def aria2c(target: Path, *arguments: str, rate: int | None = None) -> list[str]:
    """aria2 as a program runs it; what it has got counts as written."""
    limit = [] if rate is None else [f"--max-overall-download-limit={rate}"]
    fixed = ["--quiet", "--no-conf=true", "--file-allocation=none", "--max-tries=1"]
    parallel = ["--max-concurrent-downloads=4", "--split=4", "--min-split-size=1M"]
    return ["aria2c", *fixed, *parallel, *limit, "-d", str(target), *arguments]


def check_sums(folder: Path, sums: bytes) -> subprocess.CompletedProcess[bytes]:
    command = ["sha256sum", "--check", "--strict", "--quiet", "-"]
    return subprocess.run(command, cwd=folder, input=sums, capture_output=True, check=False)


def files_in(folder: Path) -> dict[bytes, bytes]:
    """The contents of all files below folder by their paths."""
    top = os.fsencode(folder)
    found = {}
    for parent, _, names in os.walk(top):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, top)] = file.read()
    return found


def manifest(server: RunningServer, path: str, form: str) -> bytes:
    answer = get(server, f"{path}?manifest={form}")
    assert answer.status == 200
    return answer.content


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A root with a folder `odd` full of names that are hard to write down."""
    root = tmp_path / "root"
    for number, name in enumerate(ODD_NAMES):
        path = root / "odd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number * (0 if name == "empty.txt" else 1000))
    return root


def test_aria2_fetches_a_folder_by_its_url_alone(odd: Path, tmp_path: Path) -> None:
    require("aria2c", "sha256sum")
    with running_server(odd) as server:
        url = f"{server.url}odd/?manifest=metalink"
        done = finish(aria2c(tmp_path / "got", "--follow-metalink=mem", url))
        assert done.returncode == 0, done.stdout
        sums = manifest(server, "/odd/", "sha256")
        assert errors_in(server) == []
    assert files_in(tmp_path / "got") == files_in(odd / "odd")
    checked = check_sums(tmp_path / "got", sums)
    assert (checked.returncode, checked.stdout) == (0, b"")
    assert sums.count(b"\n") == len(ODD_NAMES)


def test_sha256sum_finds_the_file_that_differs(odd: Path) -> None:
    require("sha256sum")
    with running_server(odd) as server:
        sums = manifest(server, "/", "sha256")
    (odd / "odd" / "deep" / "er" / "est.txt").write_bytes(b"damaged")
    checked = check_sums(odd, sums)
    assert (checked.returncode, checked.stdout) == (1, b"odd/deep/er/est.txt: FAILED\n")


def test_aria2_verifies_where_digests_are_known(odd: Path, tmp_path: Path) -> None:
    require("aria2c")
    saved = tmp_path / "odd.meta4"
    with running_server(odd) as server:
        manifest(server, "/odd/", "sha256")
        saved.write_bytes(manifest(server, "/odd/", "metalink"))
        assert saved.read_bytes().count(b'<hash type="sha-256">') == len(ODD_NAMES)
        done = finish(aria2c(tmp_path / "right", "-M", str(saved)))
        assert done.returncode == 0, done.stdout
        (odd / "odd" / "100%.txt").write_bytes(b"other" * 200)  # as long as before
        done = finish(aria2c(tmp_path / "wrong", "-M", str(saved)))
        assert done.returncode == CHECKSUM_ERROR, done.stdout


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Path]:
    """A root with large files in two folders; what is below tmp_path is gone afterwards."""
    root = tmp_path / "root"
    for number in range(LARGE_FILES):
        folder = root / "films" / f"season {number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        write_random(folder / f"{number}.mkv", LARGE)
    yield root
    shutil.rmtree(root)
    shutil.rmtree(tmp_path / "got", ignore_errors=True)


def test_aria2_finishes_a_folder_after_the_server_was_killed(large: Path, tmp_path: Path) -> None:
    require("aria2c", "sha256sum")
    saved, got = tmp_path / "films.meta4", tmp_path / "got"
    whole = LARGE * LARGE_FILES
    port = ("--port", str(free_port()))
    with running_server(large, *port) as server:
        saved.write_bytes(manifest(server, "/films/", "metalink"))
        command = aria2c(got, "-M", str(saved), "-c", rate=LIMITED_BYTES_PER_SECOND)
        with running(command) as client:
            wait_until(lambda: _arrived(got) >= whole // 4, "a quarter of the folder")
            server.kill()
            client.wait(PATIENCE_SECONDS)
    arrived = _arrived(got)
    assert arrived < whole
    with running_server(large, *port) as server:
        done = finish(aria2c(got, "-M", str(saved), "-c"))
        assert done.returncode == 0, done.stdout
        sums = manifest(server, "/films/", "sha256")
        assert errors_in(server) == []
        server.stop()
        sent = sum(line.bytes for line in _film_lines(server))
    checked = check_sums(got, sums)
    assert (checked.returncode, checked.stdout) == (0, b"")
    assert sums.count(b"\n") == LARGE_FILES
    # No file is begun anew.  Half, because aria2's control files are behind what it wrote.
    assert sent <= whole - arrived / 2


def _film_lines(server: RunningServer) -> list[AccessLine]:
    paths = (f"/films/season%20{number % 2}/{number}.mkv" for number in range(LARGE_FILES))
    return [line for path in paths for line in access_lines(server, path)]


def _arrived(folder: Path) -> int:
    return sum(bytes_on_disk(path) for path in folder.rglob("*.mkv"))


def checksum_all(root: Path) -> None:
    command = [sys.executable, *STRICT_FLAGS, "-m", "cli", "checksum", "--all", "--root", root]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)


def test_aria2_repairs_the_one_piece_that_is_damaged(tmp_path: Path) -> None:
    require("aria2c")
    root, got, saved = tmp_path / "root", tmp_path / "got", tmp_path / "film.meta4"
    root.mkdir()
    got.mkdir()
    write_random(root / "film.mkv", REPAIRED)
    checksum_all(root)
    shutil.copy(root / "film.mkv", got / "film.mkv")
    with open(got / "film.mkv", "r+b") as file:
        byte = os.pread(file.fileno(), 1, DAMAGED_AT)[0]
        os.pwrite(file.fileno(), bytes([byte ^ 1]), DAMAGED_AT)
    with running_server(root) as server:
        saved.write_bytes(manifest(server, "/", "metalink"))
        assert saved.read_bytes().count(b"<hash>") == REPAIRED // MIB
        done = finish(aria2c(got, "-M", str(saved), "--check-integrity=true"))
        assert done.returncode == 0, done.stdout
        assert errors_in(server) == []
        server.stop()
        sent = sum(line.bytes for line in access_lines(server, "/film.mkv"))
    assert (got / "film.mkv").read_bytes() == (root / "film.mkv").read_bytes()
    # That piece, and what aria2 had asked for beyond it when it had the piece.
    assert MIB <= sent <= REPAIRED // 2
