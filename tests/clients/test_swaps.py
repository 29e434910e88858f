"""However fast a name changes between a file and a way out of the root, the secret stays inside."""

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.clients.access_log import errors_in
from tests.clients.programs import IS_BIG, PATIENCE_SECONDS
from tests.running_server import REPOSITORY, RunningServer, running_server

SWAPS = 100_000 if IS_BIG else 20_000
CLIENTS = 4
REQUESTS_OF_EACH = 5_000 if IS_BIG else 800
PUBLIC = b"everybody may read this\n" * 1_000
SECRET = b"nobody outside may ever read this secret\n" * 900

WAYS_TO_OPEN = [
    pytest.param({}, id="openat2"),
    pytest.param({"FILESERVE_NO_OPENAT2": "1"}, id="walk"),
]


@dataclass
class Swapping:
    """What the helper process did; swaps is known when it has ended."""

    swaps: int = 0


@dataclass
class Seen:
    """What clients got to see."""

    statuses: Counter[int] = field(default_factory=Counter)
    contents: set[bytes] = field(default_factory=set)


@contextlib.contextmanager
def swapping(first: Path, second: Path) -> Iterator[Swapping]:
    """Exchanges two paths in a process of its own all through the block."""
    result = Swapping()
    command = [sys.executable, "-m", "tests.clients.swapper", str(first), str(second), str(SWAPS)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"begun\n"
            yield result
            printed, _ = process.communicate(timeout=PATIENCE_SECONDS)
            result.swaps = int(printed)
        finally:
            process.kill()


@pytest.mark.parametrize("env", WAYS_TO_OPEN)
def test_a_file_swapped_with_a_link_to_a_secret_never_shows_it(
    env: dict[str, str], tmp_path: Path
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET)
    (root / "file.txt").write_bytes(PUBLIC)
    (root / "link").symlink_to(outside / "secret")
    with (
        running_server(root, "--no-access-log", env=env) as server,
        swapping(root / "file.txt", root / "link") as helper,
    ):
        _expect_no_secret(server, ["/file.txt", "/link"])
    _expect_swaps(helper)


@pytest.mark.parametrize("env", WAYS_TO_OPEN)
def test_a_folder_swapped_with_a_link_out_never_shows_what_is_there(
    env: dict[str, str], tmp_path: Path
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    inner = root / "films" / "inner"
    inner.mkdir(parents=True)
    (outside / "deep").mkdir(parents=True)
    (inner / "deep").mkdir()
    (inner / "deep" / "file.txt").write_bytes(PUBLIC)
    (outside / "deep" / "file.txt").write_bytes(SECRET)
    # Relative: a way out that climbs, where the other test has an absolute one.
    (root / "films" / "way-out").symlink_to(Path("..", "..", "outside"))
    with (
        running_server(root, "--no-access-log", env=env) as server,
        swapping(inner, root / "films" / "way-out") as helper,
    ):
        _expect_no_secret(server, ["/films/inner/deep/file.txt", "/films/way-out/deep/file.txt"])
    _expect_swaps(helper)


@pytest.mark.parametrize("env", WAYS_TO_OPEN)
def test_a_listing_never_tells_the_size_or_names_of_what_is_outside(
    env: dict[str, str], tmp_path: Path
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "file.txt").write_bytes(PUBLIC)
    outside.mkdir()
    (outside / "secret-name").write_bytes(SECRET)
    (root / "way-out").symlink_to(outside)
    with (
        running_server(root, "--no-access-log", env=env) as server,
        swapping(root / "folder", root / "way-out") as helper,
    ):
        seen = _ask_all(server, ["/folder/?format=json", "/way-out/?format=json"])
        assert errors_in(server) == []
    for content in seen.contents:
        assert b"secret-name" not in content
        assert str(len(SECRET)).encode() not in content
    assert set(seen.statuses) == {200, 404}
    listed = [json.loads(content) for content in seen.contents if b"file.txt" in content]
    assert listed, "no listing was ever whole"
    _expect_swaps(helper)


def _expect_no_secret(server: RunningServer, paths: list[str]) -> None:
    seen = _ask_all(server, paths)
    escapes = sum(b"secret" in content for content in seen.contents)
    faults = sum(count for status, count in seen.statuses.items() if status >= 500)
    print(f"{dict(seen.statuses)}, {escapes} escapes, {faults} server errors")
    assert escapes == 0
    # Both ends of the race were met, else it was none; and nothing but these.
    assert set(seen.statuses) == {200, 404}
    assert PUBLIC in seen.contents
    assert errors_in(server) == []


def _expect_swaps(helper: Swapping) -> None:
    print(f"{helper.swaps} swaps")
    assert helper.swaps >= SWAPS


def _ask_all(server: RunningServer, paths: list[str]) -> Seen:
    """What several clients see that ask for the paths in turn, each over one connection."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        parts = list(clients.map(_ask, [server] * CLIENTS, [paths] * CLIENTS))
    total = Seen()
    for part in parts:
        total.statuses.update(part.statuses)
        total.contents |= part.contents
    return total


def _ask(server: RunningServer, paths: list[str]) -> Seen:
    seen = Seen()
    connection = HTTPConnection(server.host, server.port, timeout=PATIENCE_SECONDS)
    with contextlib.closing(connection):
        for turn in range(REQUESTS_OF_EACH):
            connection.request("GET", paths[turn % len(paths)])
            response = connection.getresponse()
            seen.statuses[response.status] += 1
            seen.contents.add(response.read())
    return seen
