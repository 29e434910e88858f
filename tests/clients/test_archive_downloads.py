"""Whole folders as archives that survive a killed server, and never become a mixed archive."""

import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.access_log import access_lines, errors_in
from tests.clients.programs import IS_BIG, require, running, wait_until
from tests.clients.samples import MIB, bytes_on_disk, write_random, write_sparse
from tests.running_server import free_port, running_server

# What the closing notes are about: 20 GB of holes.
SPARSE_FILES, SPARSE_BYTES = (5, 4096 * MIB) if IS_BIG else (3, 64 * MIB)
RANDOM_BYTES = 64 * MIB
# A whole archive at the pace of what is to be interrupted after a third: time enough to do so.
SECONDS = 16

Command = Callable[[str, Path, int | None], list[str]]


def aria2c(url: str, target: Path, rate: int | None) -> list[str]:
    limit = [] if rate is None else [f"--max-overall-download-limit={rate}"]
    fixed = ["--quiet", "-c", "--max-tries=1", "--file-allocation=none", "--no-conf=true"]
    parallel = ["-x8", "-s8", "--min-split-size=1M", "--auto-file-renaming=false"]
    return ["aria2c", *fixed, *parallel, *limit, "-d", str(target.parent), "-o", target.name, url]


def curl(url: str, target: Path, rate: int | None) -> list[str]:
    limit = [] if rate is None else ["--limit-rate", str(rate)]
    return ["curl", "--silent", "--fail", "-C", "-", *limit, "-o", str(target), url]


CLIENTS = [pytest.param(aria2c, id="aria2c-x8"), pytest.param(curl, id="curl-C")]


def _fill(folder: Path) -> int:
    """Bytes of all files: holes, random ones, small ones."""
    folder.mkdir()
    for number in range(SPARSE_FILES):
        write_sparse(folder / f"holes-{number}.bin", SPARSE_BYTES)
    write_random(folder / "random.bin", RANDOM_BYTES)
    for number in range(500):
        (folder / f"small-{number}.txt").write_bytes(b"%d\n" % number)
    return SPARSE_FILES * SPARSE_BYTES + RANDOM_BYTES


def _finish(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs command to its end, with more patience than for single files: 20 GB are read."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200 if IS_BIG else 240,
        check=False,
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_a_folder_download_resumes_after_the_server_was_killed(
    client: Command, tmp_path: Path
) -> None:
    require(client.__name__, "unzip")
    size = _fill(tmp_path / "root")
    target = tmp_path / "root.zip"
    port = ("--port", str(free_port()))
    with (
        running_server(tmp_path / "root", *port) as server,
        running(client(f"{server.url}?archive=zip", target, size // SECONDS)) as process,
    ):
        wait_until(lambda: bytes_on_disk(target) >= size // 3, "a third of the archive")
        server.kill()
        assert process.wait() != 0, "the client did not notice that the server was gone"
    arrived = bytes_on_disk(target)
    with running_server(tmp_path / "root", *port) as server:
        done = _finish(client(f"{server.url}?archive=zip", target, None))
        assert done.returncode == 0, done.stderr
        server.stop()
        assert errors_in(server) == []
        sent = sum(line.bytes for line in access_lines(server, "/"))
    assert sent <= size - arrived / 2, "the client began anew"
    tested = _finish(["unzip", "-tq", str(target)])
    assert tested.returncode == 0, tested.stdout + tested.stderr
    target.unlink()


def test_a_folder_that_changed_between_two_parts_is_never_mixed(tmp_path: Path) -> None:
    """aria2 sends no If-Range.  Another length is what it sees: it refuses, or begins anew."""
    require("aria2c")
    size = _fill(tmp_path / "root")
    target = tmp_path / "root.zip"
    with running_server(tmp_path / "root") as server:
        url = f"{server.url}?archive=zip"
        with running(aria2c(url, target, size // SECONDS)) as process:
            wait_until(lambda: bytes_on_disk(target) >= size // 3, "a third of the archive")
            process.terminate()  # aria2 then notes which parts it has
            process.wait()
        assert target.with_name("root.zip.aria2").exists()
        # As many bytes as before: nothing but the state is different.
        write_random(tmp_path / "root" / "random.bin", RANDOM_BYTES)
        done = _finish(aria2c(url, target, None))
    print(f"aria2c ended with {done.returncode}: {done.stdout}")
    if done.returncode == 0:
        with zipfile.ZipFile(target) as opened:
            assert opened.testzip() is None
            assert opened.read("Files/random.bin") == (tmp_path / "root/random.bin").read_bytes()
