"""Upload sessions on a disk: what survives a crash, who may write, and what is cleaned up."""

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from storage.atomic import Existing
from storage.blob import Fingerprint
from storage.errors import Busy, NotFound
from storage.names import Name
from storage.upload_bytes import OpenUpload, UploadDigest
from storage.upload_sessions import (
    Kind,
    Session,
    State,
    files_of,
    lies_at,
    new_upload_id,
    read_session,
    remove_session,
    upload_of_file,
    write_session,
)
from tests.descriptors import nothing_left_open

ID = "0123456789abcdef0123456789abcdef"
TARGET = Name((b"folder", b"f\xff %.bin"))
FILE = Session(ID, TARGET, 10, "token tests")


@pytest.fixture
def folder_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@contextmanager
def opened(folder_fd: int, digest: UploadDigest | None = None) -> Iterator[OpenUpload]:
    upload = OpenUpload.open(folder_fd, ID, digest)
    try:
        yield upload
    finally:
        upload.close()


@contextmanager
def created(folder_fd: int, session: Session = FILE) -> Iterator[OpenUpload]:
    upload = OpenUpload.create(folder_fd, session)
    try:
        yield upload
    finally:
        upload.close()


def sha256_of(upload: OpenUpload) -> bytes:
    while upload.hash_more():
        pass
    return upload.digest.digests().sha256


SESSIONS = [
    FILE,
    replace(FILE, length=None, metadata="filename YQ==,x", existing=Existing.REPLACE, trusted=7),
    replace(FILE, part_ids=(ID,), concatenation=f"final;https://a.example/-/uploads/{ID}"),
    replace(FILE, expected=Fingerprint(1, 2, 3, 4)),
    replace(FILE, target=None, kind=Kind.PART, joined_into="f" * 32),
    replace(FILE, part_ids=("a" * 32, "b" * 32), state=State.DONE, inode=2**63),
]


@pytest.mark.parametrize("session", SESSIONS)
def test_what_is_written_of_a_session_is_read_again(folder_fd: int, session: Session) -> None:
    write_session(folder_fd, session)
    assert read_session(folder_fd, ID) == session


RECORDS = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b'{"version": 2}',
    b"\xff\xfe",
    b'{"version": 1, "target": "/../etc/passwd"}',
    b"{" * 100_000,
]


@pytest.mark.parametrize("record", RECORDS, ids=range(len(RECORDS)))
def test_a_record_that_makes_no_sense_is_no_upload(
    folder_fd: int, tmp_path: Path, record: bytes
) -> None:
    (tmp_path / f"{ID}.json").write_bytes(record)
    with pytest.raises(NotFound):
        read_session(folder_fd, ID)


def test_a_link_in_place_of_a_record_is_not_followed(folder_fd: int, tmp_path: Path) -> None:
    write_session(folder_fd, FILE)
    (tmp_path / f"{ID}.json").rename(tmp_path / "elsewhere")
    (tmp_path / f"{ID}.json").symlink_to("elsewhere")
    with pytest.raises(NotFound):
        read_session(folder_fd, ID)


def test_bytes_go_on_where_they_ended(folder_fd: int) -> None:
    with created(folder_fd) as upload:
        upload.append([b"hel", memoryview(b"lo")])
        upload.sync()
    with opened(folder_fd) as upload:
        assert upload.offset == 5
        assert not upload.is_whole
        upload.append([b"world"])
        assert upload.is_whole
        assert sha256_of(upload) == hashlib.sha256(b"helloworld").digest()


def test_a_digest_goes_on_where_its_bytes_ended(folder_fd: int) -> None:
    with created(folder_fd) as upload:
        upload.append([b"hello"])
    digest = upload.digest
    with opened(folder_fd, digest) as upload:
        assert upload.digest is digest
        upload.append([b"world"])
    assert digest.hashed == 10


def test_a_digest_of_more_than_there_is_is_not_believed(folder_fd: int) -> None:
    ahead = UploadDigest()
    ahead.add(b"more than five")
    with created(folder_fd) as upload:
        upload.append([b"hello"])
    with opened(folder_fd, ahead) as upload:
        upload.append([b"world"])
        assert sha256_of(upload) == hashlib.sha256(b"helloworld").digest()


def test_what_was_not_hashed_as_it_came_is_caught_up_with(folder_fd: int) -> None:
    large = os.urandom(9 << 20)
    with created(folder_fd, replace(FILE, length=None)) as upload:
        upload.append([large])
    with opened(folder_fd) as upload:
        upload.append([b"a"])
        assert upload.digest.hashed == 8 << 20
        upload.append([b"b"])
        assert upload.digest.hashed == upload.offset
        upload.append([b"c"])
        assert sha256_of(upload) == hashlib.sha256(large + b"abc").digest()


def test_two_writers_are_one_too_many(folder_fd: int) -> None:
    with created(folder_fd), pytest.raises(Busy), opened(folder_fd):
        pass
    with opened(folder_fd), pytest.raises(Busy), opened(folder_fd):
        pass


def test_bytes_that_were_not_verified_do_not_survive_a_crash(folder_fd: int) -> None:
    with created(folder_fd) as upload:
        upload.append([b"good"])
        upload.distrust_what_comes()
        upload.append([b"bad"])
    with opened(folder_fd) as upload:
        assert upload.offset == 4
        assert upload.session.trusted is None


def test_bytes_that_were_verified_survive(folder_fd: int) -> None:
    with created(folder_fd) as upload:
        upload.distrust_what_comes()
        upload.append([b"good"])
        upload.sync()
    with opened(folder_fd) as upload:
        assert upload.offset == 4


def test_bytes_that_are_cut_back_are_not_in_the_digest(folder_fd: int) -> None:
    with created(folder_fd) as upload:
        upload.append([b"hello"])
        upload.append([b"wrong"])
        upload.cut_back(5)
        upload.append([b"world"])
        assert sha256_of(upload) == hashlib.sha256(b"helloworld").digest()


def test_a_deferred_length_is_remembered(folder_fd: int) -> None:
    with created(folder_fd, replace(FILE, length=None)) as upload:
        assert not upload.is_whole
        upload.set_length(0)
        assert upload.is_whole
    assert read_session(folder_fd, ID).length == 0


def test_a_session_that_is_done_takes_no_bytes(folder_fd: int) -> None:
    with created(folder_fd) as upload:
        write_session(folder_fd, replace(upload.session, state=State.DONE))
    with pytest.raises(NotFound), opened(folder_fd):
        pass


def test_a_session_that_is_removed_leaves_nothing(folder_fd: int, tmp_path: Path) -> None:
    with created(folder_fd):
        remove_session(folder_fd, ID)
    assert list(tmp_path.iterdir()) == []
    remove_session(folder_fd, ID)


def test_going_on_with_an_upload_keeps_it_for_longer(folder_fd: int, tmp_path: Path) -> None:
    with created(folder_fd):
        pass
    for path in tmp_path.iterdir():
        os.utime(path, (100, 100))
    with opened(folder_fd) as upload:
        assert not upload.is_wanted()
    assert time.time() - max(files_of(folder_fd, ID).values()) < 60


def test_an_upload_that_could_not_be_opened_is_left_to_the_next(
    folder_fd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_descriptor_left(_fd: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with created(folder_fd):
        pass
    with nothing_left_open(), monkeypatch.context() as full:
        full.setattr(os, "dup", no_descriptor_left)
        with pytest.raises(OSError, match="Too many open files"):
            OpenUpload.open(folder_fd, ID)
    with opened(folder_fd):
        pass


FILES = [
    (ID, ID),
    (f"{ID}.json", ID),
    (f"{ID}.json.new", ID),
    (f"{ID}.jso", None),
    (ID[:-1], None),
    (ID.upper(), None),
    ("", None),
    (f"{ID}0", None),
]


@pytest.mark.parametrize(("segment", "upload_id"), FILES)
def test_a_file_belongs_to_one_upload_or_none(segment: str, upload_id: str | None) -> None:
    assert upload_of_file(segment) == upload_id


def test_ids_are_not_guessed() -> None:
    upload_id = new_upload_id(())
    assert upload_of_file(upload_id) == upload_id
    assert new_upload_id(()) != upload_id


def test_an_id_tells_its_mount() -> None:
    upload_id = new_upload_id((b"films", b"nas"))
    assert lies_at(upload_id, (b"films", b"nas"))
    assert not lies_at(upload_id, ())
    assert not lies_at(upload_id, (b"films", b"other"))
