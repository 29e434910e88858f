"""File systems without hard links: of several writers of a name one has it, and whole."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from storage.atomic import Existing, Target, rename, store_copy, store_stream
from tests.descriptors import nothing_left_open
from tests.linkless_mount import KINDS, linkless_mount

WRITERS = 8
ROUNDS = 10


@pytest.fixture(params=KINDS)
def mount(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    point = tmp_path / "mount"
    with linkless_mount(request.param, point, tmp_path), nothing_left_open():
        yield point


def store(folder: Path, segment: bytes, content: bytes, existing: Existing) -> bool:
    """Whether the name could be had."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        store_stream(Target(fd, segment, existing), [content])
    except FileExistsError:
        return False
    finally:
        os.close(fd)
    return True


def test_a_new_name_is_given_once(mount: Path) -> None:
    assert store(mount, b"a", b"first", Existing.REFUSE)
    assert not store(mount, b"a", b"second", Existing.REFUSE)
    assert (mount / "a").read_bytes() == b"first"
    assert os.listdir(mount) == ["a"]


def test_a_name_is_replaced_when_that_is_asked_for(mount: Path) -> None:
    assert store(mount, b"a", b"first", Existing.REFUSE)
    assert store(mount, b"a", b"second", Existing.REPLACE)
    assert (mount / "a").read_bytes() == b"second"
    assert os.listdir(mount) == ["a"]


def test_a_file_is_copied_to_it(mount: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"bytes" * 1_000_000)
    fd = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with source.open("rb") as file:
            store_copy(Target(fd, b"a"), file.fileno())
    finally:
        os.close(fd)
    assert (mount / "a").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("moved", ["file", "folder"])
@pytest.mark.parametrize("taken", ["taken-file", "taken-folder"])
def test_nothing_is_moved_onto_what_is_there(mount: Path, moved: str, taken: str) -> None:
    (mount / "file").write_bytes(b"file")
    (mount / "folder" / "deep").mkdir(parents=True)
    (mount / "taken-file").write_bytes(b"taken")
    (mount / "taken-folder").mkdir()
    fd = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(FileExistsError):
            rename(fd, moved.encode(), Target(fd, taken.encode()))
        rename(fd, moved.encode(), Target(fd, b"new"))
    finally:
        os.close(fd)
    assert not (mount / moved).exists()
    assert (mount / "new").is_dir() == (moved == "folder")
    assert (mount / "taken-file").read_bytes() == b"taken"
    assert (mount / "taken-folder").is_dir()


def test_of_many_writers_at_once_one_has_the_name(mount: Path) -> None:
    start = Barrier(WRITERS)

    def write(number: int, name: str) -> bool:
        start.wait()
        return store(mount, name.encode(), b"%d" % number * 1_000, Existing.REFUSE)

    with ThreadPoolExecutor(WRITERS) as threads:
        for turn in range(ROUNDS):
            name = f"round-{turn}"
            won = list(threads.map(write, range(WRITERS), [name] * WRITERS))
            assert won.count(True) == 1
            assert (mount / name).read_bytes() == b"%d" % won.index(True) * 1_000
