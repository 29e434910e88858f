"""Download programs finish a file after the server was killed in mid-way and started again."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.access_log import AccessLine, access_lines, errors_in, wait_for_access_lines
from tests.clients.programs import IS_BIG, finish, require, running, wait_until
from tests.clients.samples import MIB, bytes_on_disk, sha256_of, write_random
from tests.running_server import RunningServer, free_port, running_server

SIZE = (2048 if IS_BIG else 256) * MIB
# The server is killed once a quarter has arrived; at this rate that leaves twelve seconds to do so.
LIMITED_BYTES_PER_SECOND = SIZE // 16
CONNECTIONS = 8

Command = Callable[[str, Path, int | None], list[str]]


def curl(url: str, target: Path, rate: int | None) -> list[str]:
    limit = [] if rate is None else ["--limit-rate", str(rate)]
    return ["curl", "--silent", "--fail", "-C", "-", *limit, "-o", str(target), url]


def wget(url: str, target: Path, rate: int | None) -> list[str]:
    limit = [] if rate is None else [f"--limit-rate={rate}"]
    # --tries=1: it is this test that tries again.
    return ["wget", "--quiet", "-c", "--tries=1", *limit, "-O", str(target), url]


def aria2c(url: str, target: Path, rate: int | None) -> list[str]:
    limit = [] if rate is None else [f"--max-overall-download-limit={rate}"]
    connections = [f"-x{CONNECTIONS}", f"-s{CONNECTIONS}", "--min-split-size=1M"]
    # What it has got counts as written: no allocation ahead, control file up to date.
    fixed = ["--quiet", "-c", "--max-tries=1", "--file-allocation=none", "--no-conf=true"]
    place = ["-d", str(target.parent), "-o", target.name]
    return ["aria2c", *fixed, *connections, *limit, *place, url]


CLIENTS = [
    pytest.param(curl, id="curl-C"),
    pytest.param(wget, id="wget-c"),
    pytest.param(aria2c, id="aria2c-x8"),
]


@dataclass(frozen=True, slots=True)
class Served:
    """A folder with one large file in it."""

    root: Path
    sha256: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("root")
    yield Served(root, write_random(root / "film.iso", SIZE))
    (root / "film.iso").unlink()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_download_resumes_after_the_server_was_killed(
    client: Command, served: Served, tmp_path: Path
) -> None:
    require(client.__name__)
    target = tmp_path / "film.iso"
    port = _download_until_the_server_is_killed(client, served, target)
    arrived = bytes_on_disk(target)
    with running_server(served.root, "--port", str(port)) as server:
        resumed = time.monotonic()
        done = finish(client(f"{server.url}film.iso", target, None))
        seconds = time.monotonic() - resumed
        assert done.returncode == 0, done.stderr
        lines = _transfers(server)
        assert errors_in(server) == []
    assert sha256_of(target) == served.sha256
    assert 206 in {line.status for line in lines}
    sent = sum(line.bytes for line in lines)
    print(
        f"{client.__name__}: of {SIZE} bytes {arrived} arrived before the kill, "
        f"{sent} were sent after it in {seconds:.1f} s"
    )
    # Nobody starts anew.  Half, because aria2c begins with a request for the whole file and drops
    # it, and its control file is a little behind what it wrote.
    assert sent <= SIZE - arrived / 2, lines
    target.unlink()


def _download_until_the_server_is_killed(client: Command, served: Served, target: Path) -> int:
    """The port it was killed on, when a quarter of the file or more had arrived but not all."""
    with running_server(served.root, "--port", str(free_port())) as server:
        limited = client(f"{server.url}film.iso", target, LIMITED_BYTES_PER_SECOND)
        with running(limited) as process:
            wait_until(lambda: bytes_on_disk(target) >= SIZE // 4, "a quarter of the file")
            server.kill()
            assert process.wait() != 0, "the client did not notice that the server was gone"
    assert sha256_of(target) != served.sha256
    return server.port


def _transfers(server: RunningServer) -> list[AccessLine]:
    """All transfers of the file: the server is stopped, so no line comes after these."""
    server.stop()
    return access_lines(server, "/film.iso")


def test_aria2c_downloads_over_eight_connections(served: Served, tmp_path: Path) -> None:
    require("aria2c")
    target = tmp_path / "film.iso"
    with running_server(served.root) as server:
        done = finish(aria2c(f"{server.url}film.iso", target, None))
        assert done.returncode == 0, done.stderr
        lines = wait_for_access_lines(server, "/film.iso", CONNECTIONS)
    assert sha256_of(target) == served.sha256
    assert len({line.range for line in lines if line.status == 206}) >= CONNECTIONS - 1
    target.unlink()
