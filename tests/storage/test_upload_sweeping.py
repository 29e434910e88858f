"""Sweeping takes uploads with which nobody goes on, and never one that somebody just began."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from storage.names import Name
from storage.upload_bytes import OpenUpload
from storage.upload_sessions import Session, State, write_session
from storage.upload_sweeping import sweep_uploads

ID = "0123456789abcdef0123456789abcdef"
FILE = Session(ID, Name((b"a.bin",)), 10, "token tests")
NOW, EXPIRES, DONE = 1_000_000.0, 500_000.0, 86_400.0


@pytest.fixture
def folder_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def written(folder_fd: int, tmp_path: Path, age: dict[str, float], session: Session = FILE) -> None:
    """Files of an upload, by their endings, that were written to so many seconds ago."""
    for ending, seconds in age.items():
        if ending == ".json":
            write_session(folder_fd, session)
        else:
            (tmp_path / f"{ID}{ending}").touch()
        os.utime(tmp_path / f"{ID}{ending}", (0, NOW - seconds))


AGES = [
    # age of the files                              is swept  id
    ({"": EXPIRES - 1, ".json": EXPIRES + 9},        False,    "bytes-came-late"),
    ({"": EXPIRES + 9, ".json": EXPIRES - 1},        False,    "asked-for-late"),
    ({"": EXPIRES + 1, ".json": EXPIRES + 1},        True,     "expired"),
    ({".json": DONE - 1},                            False,    "done-today"),
    ({".json": DONE + 1},                            True,     "done-before"),
    ({"": 1},                                        True,     "bytes-without-a-record"),
    ({"": 1, ".json.new": 1},                        True,     "a-record-half-written"),
]  # fmt: skip


@pytest.mark.parametrize(("age", "is_swept"), [row[:2] for row in AGES], ids=[r[2] for r in AGES])
def test_what_nobody_goes_on_with_is_swept(
    folder_fd: int, tmp_path: Path, age: dict[str, float], is_swept: bool
) -> None:
    (tmp_path / "lock").touch()
    session = FILE if "" in age else replace(FILE, state=State.DONE)
    written(folder_fd, tmp_path, age, session)
    assert sweep_uploads(folder_fd, NOW, EXPIRES) == int(is_swept)
    left = {"lock"} if is_swept else {"lock", *(ID + ending for ending in age)}
    assert set(os.listdir(tmp_path)) == left


def test_what_somebody_writes_to_is_not_swept(folder_fd: int, tmp_path: Path) -> None:
    upload = OpenUpload.create(folder_fd, FILE)
    (tmp_path / f"{ID}.json").unlink()
    assert sweep_uploads(folder_fd, NOW * 1e6, EXPIRES) == 0
    upload.close()
    assert sweep_uploads(folder_fd, NOW * 1e6, EXPIRES) == 1


def test_uploads_that_begin_during_a_sweep_stay(folder_fd: int, tmp_path: Path) -> None:
    """What has no record yet when it is seen may have one, and no writer, when it is looked at."""
    is_over = threading.Event()

    def sweep() -> None:
        while not is_over.is_set():
            sweep_uploads(folder_fd, 0.0, EXPIRES)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for number in range(100):
            session = replace(FILE, upload_id=f"{number:032x}")
            OpenUpload.create(folder_fd, session).close()
    finally:
        is_over.set()
        sweeper.join()
    assert len(os.listdir(tmp_path)) == 2 * 100
