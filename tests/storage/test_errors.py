"""Which storage error an OSError becomes."""

import errno
import os

import pytest

from storage import errors
from storage.errors import StorageError, from_os_error

KINDS = [
    # errno              kind                     sentence ends with
    (errno.ENOENT, errors.NotFound, "not found"),
    (errno.ENOTDIR, errors.NotFound, "not found"),
    (errno.ELOOP, errors.NotFound, "not found"),  # openat2(2): too many symlinks
    (errno.EXDEV, errors.NotFound, "not found"),  # openat2(2): RESOLVE_BENEATH escape
    (errno.ENAMETOOLONG, errors.NotFound, "too long"),
    (errno.ENXIO, errors.NotFound, "not a regular file"),  # open(2): socket, device
    (errno.ENODEV, errors.NotFound, "not a regular file"),
    (errno.EISDIR, errors.IsFolder, "is a folder"),
    (errno.EACCES, errors.AccessDenied, "permission denied"),
    (errno.EPERM, errors.AccessDenied, "not permitted"),
    (errno.EROFS, errors.AccessDenied, "read-only"),
    (errno.EEXIST, errors.AlreadyExists, "already exists"),
    (errno.ENOSPC, errors.NoSpace, "no space left on the file system"),
    (errno.EDQUOT, errors.NoSpace, "quota is used up"),
    (errno.EFBIG, errors.NoSpace, "too large for the file system"),
    (errno.EMFILE, errors.Overloaded, "in this process"),
    (errno.ENFILE, errors.Overloaded, "in the system"),
    (errno.EIO, errors.Unavailable, "unavailable (Input/output error)"),
    (errno.ESTALE, errors.Unavailable, "unavailable (Stale file handle)"),
    (errno.ENOTCONN, errors.Unavailable, "endpoint is not connected)"),
    (errno.ETIMEDOUT, errors.Unavailable, "unavailable (Connection timed out)"),
]


@pytest.mark.parametrize(
    ("number", "kind", "ending"), KINDS, ids=lambda value: errno.errorcode.get(value, None)
)
def test_errno_becomes_kind(number: int, kind: type[StorageError], ending: str) -> None:
    error = from_os_error(OSError(number, os.strerror(number)), "films/a.mkv")
    assert type(error) is kind
    assert str(error).startswith("films/a.mkv: ")
    assert ending in str(error)


def test_os_error_without_errno_is_unavailable() -> None:
    error = from_os_error(OSError("odd"), "a")
    assert type(error) is errors.Unavailable
    assert str(error) == "a: unavailable (odd)"


def test_unavailable_says_when_to_ask_again() -> None:
    error = errors.Overloaded("the disk sleeps", 7)
    assert isinstance(error, errors.Unavailable)
    assert (str(error), error.retry_after_seconds) == ("the disk sleeps", 7)
