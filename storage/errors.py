"""The errors of storage: what may go wrong with bytes and names, in words for people.

    StorageError
    ├── NameRefused           not a name at all: nothing on disk was touched
    ├── NotFound              no such entry, or nothing that is ever handed out (FIFO, device)
    ├── IsFolder              a file was wanted
    ├── NotAFolder            a folder was wanted
    ├── AccessDenied          the operating system forbids it
    ├── AlreadyExists         the name is taken
    ├── Busy                  somebody else is writing to it now
    ├── Changed               not in the state any more that the caller meant
    ├── NotEmpty              a folder with something in it was to be removed
    ├── OtherFileSystem       a move from one file system to another was asked for
    ├── NoSpace               no room: disk, quota or largest file size
    └── Unavailable           hung or failing mount; may work again later
        ├── Overloaded        the process's or system's limit of open files
        └── CatalogUnavailable    the catalog is busy, gone, or of a newer version
            └── CatalogDamaged    its file is broken

Each carries one sentence (``str(error)``) that names the thing it is about.
"""

# ruff: noqa: N818 - the names are outcomes in the domain's words; the base says they are errors

import contextlib
import errno
from collections.abc import Iterator

RETRY_AFTER_SECONDS = 5


class StorageError(Exception):
    """Anything storage refuses or fails to do; ``str()`` is a sentence for people."""


class NameRefused(StorageError):
    """The text is not a name that could ever exist beneath a root."""


class NotFound(StorageError):
    """Nothing of that name is there, or nothing that is handed out."""


class IsFolder(StorageError):
    """The name means a folder where a file was wanted."""


class NotAFolder(StorageError):
    """The name means something else where a folder was wanted."""


class AccessDenied(StorageError):
    """The operating system does not permit it."""


class AlreadyExists(StorageError):
    """The name is taken, and replacing was not asked for."""


class Busy(StorageError):
    """Somebody else is writing to it now."""


class Changed(StorageError):
    """What has the name is not in the state any more that the caller meant."""


class NotEmpty(StorageError):
    """The folder holds something, and removing that was not asked for."""


class OtherFileSystem(StorageError):
    """The two names lie on different file systems: a rename is impossible."""


class NoSpace(StorageError):
    """The file system or a quota has no room for it."""


class Unavailable(StorageError):
    """The mount or disk does not answer or answers with an error now.

    retry_after_seconds: when asking again is sensible.
    """

    def __init__(self, message: str, retry_after_seconds: int = RETRY_AFTER_SECONDS) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Overloaded(Unavailable):
    """No descriptor is left: the limit of open files of the process or the system."""


class CatalogUnavailable(Unavailable):
    """The catalog does not answer now; files are served without it."""


class CatalogDamaged(CatalogUnavailable):
    """The file of the catalog is broken, or is none."""


# ELOOP and EXDEV are how openat2(2) refuses symlinks that go in circles or leave the root;
# ENXIO and ENODEV are what a socket or a device without a driver answers to open(2).
_KINDS: dict[int, tuple[type[StorageError], str]] = {
    errno.ENOENT: (NotFound, "not found"),
    errno.ENOTDIR: (NotFound, "not found"),
    errno.ELOOP: (NotFound, "not found"),
    errno.EXDEV: (NotFound, "not found"),
    errno.ENAMETOOLONG: (NotFound, "not found, the name is too long"),
    errno.ENXIO: (NotFound, "not found, not a regular file"),
    errno.ENODEV: (NotFound, "not found, not a regular file"),
    errno.EISDIR: (IsFolder, "is a folder"),
    errno.EACCES: (AccessDenied, "permission denied"),
    errno.EPERM: (AccessDenied, "not permitted"),
    errno.EROFS: (AccessDenied, "the file system is read-only"),
    errno.EEXIST: (AlreadyExists, "already exists"),
    errno.ENOTEMPTY: (NotEmpty, "is not empty"),
    errno.ENOSPC: (NoSpace, "no space left on the file system"),
    errno.EDQUOT: (NoSpace, "the disk quota is used up"),
    errno.EFBIG: (NoSpace, "too large for the file system"),
    errno.EMFILE: (Overloaded, "too many open files in this process"),
    errno.ENFILE: (Overloaded, "too many open files in the system"),
}


def from_os_error(error: OSError, what: str) -> StorageError:
    """The error of this tree that says what error means for what (a name for people).

    An errno without a row of its own is Unavailable: EIO, ESTALE, ENOTCONN, ETIMEDOUT and
    whatever else a failing disk or mount may answer.  Raise it ``from`` the OSError.
    """
    kind, explanation = _KINDS.get(
        error.errno or 0, (Unavailable, f"unavailable ({error.strerror or error})")
    )
    return kind(f"{what}: {explanation}")


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns an OSError from inside into the StorageError about what."""
    try:
        yield
    except OSError as error:
        raise from_os_error(error, what) from error
