"""A new file appears whole and durable under its name, or not at all.

The steps, in an order that survives a crash between any two of them:

    CREATE       a nameless file (O_TMPFILE) in the target folder, or one under a temporary name
    WRITE        all bytes, hashed on the way
    SYNC_FILE    fsync(2): the bytes are on the disk before the name is
    LINK         linkat(2) names a nameless file; it never replaces
    RENAME       renameat2(2) turns the temporary name into the final one
    SYNC_FOLDER  fsync(2) of the folder: the name is on the disk

Whatever raises on the way, the temporary name is removed.  Only SIGKILL or a power cut can leave
one, and only where one was needed: on file systems without O_TMPFILE, or in the instant between
LINK and RENAME when a file is replaced.  is_leftover recognizes it.
"""

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from storage.copying import UNSUPPORTED, copied_pieces, read_pieces, write_all
from storage.digests import Buffer, Digester, Digests
from storage.renaming import rename_to_new

_LEFTOVER = re.compile(rb"\.fileserve-[0-9a-f]{16}\.part")
NEW_FILE_MODE = 0o666  # the umask decides, as for every file the admin makes
# EISDIR and ENOENT: open(2) on O_TMPFILE where the kernel or file system does not know it.
NO_TMPFILE = frozenset((errno.EOPNOTSUPP, errno.EINVAL, errno.EISDIR, errno.ENOENT))


class Existing(Enum):
    """What happens to a file that already has the name."""

    REFUSE = "refuse"
    REPLACE = "replace"


class Draft(Enum):
    """How a file is called until it is complete."""

    NAMELESS = "nameless"  # where the file system can; else NAMED
    NAMED = "named"


class Step(Enum):
    """The moments at which a crash finds a different state on the disk."""

    CREATE = "create"
    WRITE = "write"
    SYNC_FILE = "sync-file"
    LINK = "link"
    RENAME = "rename"
    SYNC_FOLDER = "sync-folder"


def _ignore_step(step: Step) -> None:
    """Nobody watches."""


def _ignore_count(count: int) -> None:
    """Nobody counts."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a new file is to appear.

    folder_fd: the folder, opened for reading (fsync refuses O_PATH); stays the caller's.
    before: told of each step ahead of it; what it raises ends the work as a crash would.
    wrote: told the number of bytes of each finished piece.
    """

    folder_fd: int
    segment: bytes
    existing: Existing = Existing.REFUSE
    draft: Draft = Draft.NAMELESS
    before: Callable[[Step], None] = _ignore_step
    wrote: Callable[[int], None] = _ignore_count


def is_leftover(segment: bytes) -> bool:
    """Whether a file of this name was left by a writer that was killed."""
    return _LEFTOVER.fullmatch(segment) is not None


def store_stream(target: Target, buffers: Iterable[Buffer]) -> Digests:
    """Make a file of all buffers; raises OSError, FileExistsError if the name is taken."""
    digester = Digester()
    with _new_file(target) as new:
        for buffer in buffers:
            target.before(Step.WRITE)
            write_all(new.fd, memoryview(buffer).cast("B"))
            digester.update(buffer)
            target.wrote(len(buffer))
        _publish(new, target)
    return digester.digests()


def store_copy(target: Target, source_fd: int) -> Digests:
    """Make a copy of a regular file, sharing its blocks where the file system can.

    The copy keeps the time of the last change.  The digests are those of the copy's bytes, also
    when somebody writes to the source meanwhile.  Raises as store_stream does.
    """
    digester = Digester()
    with _new_file(target) as new:
        target.before(Step.WRITE)
        for piece in copied_pieces(source_fd, new.fd):
            digester.update(piece)
            target.wrote(len(piece))
            target.before(Step.WRITE)
        _copy_times(source_fd, new.fd)
        _publish(new, target)
    return digester.digests()


def store_link(target: Target, source_fd: int) -> Digests:
    """Give an existing regular file a second name: both names then mean the same file.

    Raises as store_stream does; EXDEV if the source lies on another file system.
    """
    digester = Digester()
    with _temporary_name(target.folder_fd) as temporary:
        for piece in read_pieces(source_fd):
            digester.update(piece)
            target.wrote(len(piece))
        _publish(_Draft(source_fd, temporary, Draft.NAMELESS), target)
    return digester.digests()


def rename(source_folder_fd: int, source_segment: bytes, target: Target) -> None:
    """Move an entry, a file or a folder, within one file system and make that durable.

    Raises OSError; FileExistsError if the name is taken and is not to be replaced.
    """
    target.before(Step.RENAME)
    rename_entry(source_folder_fd, source_segment, target)
    target.before(Step.SYNC_FOLDER)
    # The new name first: a power cut between the two may show both names, never none.
    sync_folder(target.folder_fd)
    sync_folder(source_folder_fd)


def sync_folder(folder_fd: int) -> None:
    """Make the names in a folder durable, where the file system knows such a thing."""
    try:
        os.fsync(folder_fd)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


@dataclass(frozen=True, slots=True)
class _Draft:
    """A file in the making; kind says whether it carries the temporary name."""

    fd: int
    temporary: bytes
    kind: Draft


@contextlib.contextmanager
def _temporary_name(folder_fd: int) -> Iterator[bytes]:
    """A name for a draft, which is removed in the end whether or not it was used."""
    # It is known before it can exist on the disk, so no interrupt can come between the two.
    name = b".fileserve-%s.part" % secrets.token_hex(8).encode()
    try:
        yield name
    finally:
        # Gone after a rename.  A failing disk must not hide the error that led here.
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=folder_fd)


@contextlib.contextmanager
def _new_file(target: Target) -> Iterator[_Draft]:
    with _temporary_name(target.folder_fd) as temporary:
        target.before(Step.CREATE)
        draft = _open_draft(target, temporary)
        try:
            yield draft
        finally:
            os.close(draft.fd)


def _open_draft(target: Target, temporary: bytes) -> _Draft:
    flags = os.O_RDWR | os.O_CLOEXEC
    # Without /proc nothing could give a nameless file its name.
    if target.draft is Draft.NAMELESS and os.path.isdir("/proc/self/fd"):
        try:
            fd = os.open(b".", flags | os.O_TMPFILE, NEW_FILE_MODE, dir_fd=target.folder_fd)
            return _Draft(fd, temporary, Draft.NAMELESS)
        except OSError as error:
            if error.errno not in NO_TMPFILE:
                raise
    flags |= os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    fd = os.open(temporary, flags, NEW_FILE_MODE, dir_fd=target.folder_fd)
    return _Draft(fd, temporary, Draft.NAMED)


def _publish(draft: _Draft, target: Target) -> None:
    target.before(Step.SYNC_FILE)
    os.fsync(draft.fd)
    if draft.kind is Draft.NAMELESS and target.existing is Existing.REFUSE:
        target.before(Step.LINK)
        link_descriptor(draft.fd, target.folder_fd, target.segment)
    else:
        if draft.kind is Draft.NAMELESS:
            target.before(Step.LINK)
            link_descriptor(draft.fd, target.folder_fd, draft.temporary)
        target.before(Step.RENAME)
        rename_entry(target.folder_fd, draft.temporary, target)
    target.before(Step.SYNC_FOLDER)
    sync_folder(target.folder_fd)


def link_descriptor(fd: int, folder_fd: int, segment: bytes) -> None:
    """Name an open file, which may have no name yet; raises FileExistsError, never replaces."""
    # linkat(2): AT_EMPTY_PATH needs CAP_DAC_READ_SEARCH, the way through /proc needs nothing.
    os.link(f"/proc/self/fd/{fd}", segment, dst_dir_fd=folder_fd, follow_symlinks=True)


def rename_entry(source_folder_fd: int, source_segment: bytes, target: Target) -> None:
    """Move an entry within one file system, not yet durably; raises as rename does."""
    if target.existing is Existing.REFUSE:
        rename_to_new(source_folder_fd, source_segment, target.folder_fd, target.segment)
        return
    os.rename(
        source_segment, target.segment, src_dir_fd=source_folder_fd, dst_dir_fd=target.folder_fd
    )


def _copy_times(source_fd: int, fd: int) -> None:
    times = os.fstat(source_fd)
    # Worth having (Last-Modified), not worth failing for: some mounts let only owners set them.
    with contextlib.suppress(OSError):
        os.utime(fd, ns=(times.st_atime_ns, times.st_mtime_ns))
