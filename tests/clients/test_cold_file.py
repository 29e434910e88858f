"""A file that is not in the page cache arrives as whole as any other."""

import os
from pathlib import Path

import pytest

from tests.clients.access_log import errors_in
from tests.clients.programs import finish, not_tested, require
from tests.clients.samples import MIB, sha256_of, write_random
from tests.page_cache import evict
from tests.running_server import running_server

SIZE = 64 * MIB


@pytest.mark.parametrize("sending", ["zero-copy", "chunked"])
def test_a_file_just_evicted_from_the_page_cache_arrives_whole(
    sending: str, tmp_path: Path
) -> None:
    require("curl")
    root = tmp_path / "root"
    root.mkdir()
    sha256 = write_random(root / "film.iso", SIZE)
    with running_server(root, f"--{sending}", "film.iso") as server:
        _evict(root / "film.iso")
        done = finish(["curl", "-sS", "--fail", "-o", tmp_path / "got", f"{server.url}film.iso"])
        assert done.returncode == 0, done.stderr
        assert errors_in(server) == []
    assert sha256_of(tmp_path / "got") == sha256


def test_a_range_in_the_cold_half_of_a_file_arrives_whole(tmp_path: Path) -> None:
    require("curl")
    root, got = tmp_path / "root", tmp_path / "got"
    root.mkdir()
    write_random(root / "film.iso", SIZE)
    start, stop = SIZE // 2 - 12_345, SIZE // 2 + 3 * MIB + 1
    expected = (root / "film.iso").read_bytes()[start:stop]
    with running_server(root) as server:
        _evict(root / "film.iso", SIZE // 2)
        span = f"Range: bytes={start}-{stop - 1}"
        done = finish(["curl", "-sS", "--fail", "-H", span, "-o", got, f"{server.url}film.iso"])
        assert done.returncode == 0, done.stderr
    assert got.read_bytes() == expected


def _evict(path: Path, start: int = 0) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        if not evict(descriptor, start):
            not_tested("the file system of the temporary folder keeps its pages (tmpfs?)")
    finally:
        os.close(descriptor)
