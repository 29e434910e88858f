"""Adds files and folders to a root: one addition appears as a whole or is undone.

Each file is atomic (storage.atomic); what an addition of several files has already made is taken
back when one of them fails or the admin interrupts.  A file that replaced another one stays.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from types import TracebackType

from storage.atomic import Existing, Step, Target, store_copy, store_link, store_stream, sync_folder
from storage.beneath import Root
from storage.digests import Buffer, Digests
from storage.errors import StorageError, explained
from storage.library import make_folders, opened_folder, refuse_taken, remove_empty_folders
from storage.names import Name, printable
from storage.renaming import NO_LINKS

# Another file system or bind mount, one that knows no hard links, fs.protected_hardlinks.
_NO_LINK = NO_LINKS | {errno.EXDEV}
_SOURCE_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Manner(Enum):
    """What becomes of the source."""

    COPY = "copy"  # it stays as it is
    MOVE = "move"  # it is removed once everything is added
    LINK = "link"  # both names mean the same file (a hard link)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One regular file to be added under name; size in bytes as it was when it was found."""

    path: bytes
    name: Name
    size: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is to add; skipped are paths of symlinks and special files in a folder."""

    files: tuple[SourceFile, ...]
    folders: tuple[Name, ...]
    source_folders: tuple[bytes, ...]
    skipped: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Watcher:
    """Told of each step ahead of it, and of the number of bytes of each finished piece."""

    before: Callable[[Step], None]
    wrote: Callable[[int], None]


def survey(source: bytes, name: Name) -> Survey:
    """What adding source (a file or a folder with all it holds) as name means.

    Raises StorageError for what is neither, and for what cannot be read.
    """
    with explained(printable(source)):
        found = os.stat(source)
        if stat.S_ISDIR(found.st_mode):
            return _survey_folder(source, name)
        if not stat.S_ISREG(found.st_mode):
            raise _not_regular(source)
        return Survey((SourceFile(source, name, found.st_size),), (), (), ())


class Addition:
    """A with block around everything that is to be added together.

    At a good end moved sources are removed; at a bad one what was added is.
    """

    def __init__(self, root: Root, manner: Manner, existing: Existing, watcher: Watcher) -> None:
        self._root = root
        self._manner = manner
        self._existing = existing
        self._watcher = watcher
        self._made_folders: list[Name] = []
        self._made_files: list[tuple[Name, int]] = []
        self._moved: list[tuple[bytes, os.stat_result]] = []
        self._moved_folders: list[bytes] = []

    def __enter__(self) -> "Addition":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._remove_sources()
        else:
            self._undo()

    def prepare(self, plan: Survey) -> None:
        """Make the folders, and refuse names that are taken before any byte is copied."""
        for folder in (*plan.folders, *dict.fromkeys(file.name.parent for file in plan.files)):
            self.make_folders(folder)
        for file in plan.files:
            with opened_folder(self._root, file.name.parent) as fd, explained(file.name.display):
                refuse_taken(fd, file.name, self._existing)
        self._moved_folders.extend(plan.source_folders)

    def make_folders(self, folder: Name) -> None:
        """Make a folder where it is missing."""
        make_folders(self._root, folder, self._made_folders)

    def add_file(self, file: SourceFile) -> Digests:
        """Add one file; raises StorageError, also if it changes while it is read."""
        with _opened_source(file.path) as source_fd, self._target(file.name, source_fd) as target:
            found = os.fstat(source_fd)
            digests = self._store(target, source_fd, found)
        if self._manner is Manner.MOVE:
            self._moved.append((file.path, found))
        return digests

    def add_stream(self, name: Name, buffers: Iterable[Buffer]) -> Digests:
        """Add a file made of buffers."""
        self.make_folders(name.parent)
        with self._target(name, None) as target:
            refuse_taken(target.folder_fd, name, self._existing)
            return store_stream(target, buffers)

    def _store(self, target: Target, source_fd: int, found: os.stat_result) -> Digests:
        is_same_device = found.st_dev == os.fstat(target.folder_fd).st_dev
        if self._manner is Manner.LINK or (self._manner is Manner.MOVE and is_same_device):
            try:
                return store_link(target, source_fd)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                if self._manner is Manner.LINK:
                    raise _no_link(target, error) from error
        return store_copy(target, source_fd)

    @contextlib.contextmanager
    def _target(self, name: Name, source_fd: int | None) -> Iterator[Target]:
        with opened_folder(self._root, name.parent) as fd, explained(name.display):
            was_there = _inode(fd, name.last) is not None
            unchanged = None if source_fd is None else _state(source_fd)

            def check() -> None:
                if source_fd is not None and _state(source_fd) != unchanged:
                    raise _changed(name)

            def before(step: Step) -> None:
                if step is Step.SYNC_FILE:
                    check()
                if step is Step.SYNC_FOLDER and not was_there:
                    self._made_files.append((name, _inode(fd, name.last) or 0))
                self._watcher.before(step)

            def wrote(count: int) -> None:
                check()  # here, too: a file that grows as fast as it is read has no end
                self._watcher.wrote(count)

            yield Target(fd, name.last, self._existing, before=before, wrote=wrote)

    def _remove_sources(self) -> None:
        for path, found in self._moved:
            with explained(printable(path)):
                # Only the file that was added: its name may have been given to another since.
                if os.path.samestat(os.lstat(path), found):
                    os.unlink(path)
        if self._manner is Manner.MOVE:
            for path in sorted(self._moved_folders, key=len, reverse=True):
                with contextlib.suppress(OSError):  # not empty: something was skipped
                    os.rmdir(path)

    def _undo(self) -> None:
        for name, inode in reversed(self._made_files):
            with _tolerated(), opened_folder(self._root, name.parent) as fd:
                if _inode(fd, name.last) == inode:
                    os.unlink(name.last, dir_fd=fd)
                    sync_folder(fd)
        remove_empty_folders(self._root, self._made_folders)


def _survey_folder(top: bytes, name: Name) -> Survey:
    def refuse(error: OSError) -> None:
        raise error

    files: list[SourceFile] = []
    folders: list[Name] = []
    source_folders: list[bytes] = []
    skipped: list[bytes] = []
    for folder, below, entries in os.walk(top, onerror=refuse):
        folder_name = _name_below(name, os.path.relpath(folder, top))
        folders.append(folder_name)
        source_folders.append(folder)
        skipped.extend(path for path in _joined(folder, below) if os.path.islink(path))
        for path in _joined(folder, entries):
            found = os.lstat(path)
            if stat.S_ISREG(found.st_mode):
                file_name = folder_name.child(os.path.basename(path))
                files.append(SourceFile(path, file_name, found.st_size))
            else:
                skipped.append(path)
    return Survey(tuple(files), tuple(folders), tuple(source_folders), tuple(skipped))


def _name_below(name: Name, relative: bytes) -> Name:
    for segment in relative.split(b"/"):
        name = name if segment == b"." else name.child(segment)
    return name


def _joined(folder: bytes, segments: list[bytes]) -> list[bytes]:
    return [os.path.join(folder, segment) for segment in sorted(segments)]


@contextlib.contextmanager
def _opened_source(path: bytes) -> Iterator[int]:
    """A regular file, open for reading; O_NONBLOCK keeps a FIFO from waiting for a writer."""
    with explained(printable(path)):
        fd = os.open(path, _SOURCE_FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise _not_regular(path)
        yield fd
    finally:
        os.close(fd)


def _not_regular(path: bytes) -> StorageError:
    return StorageError(f"{printable(path)}: is neither a file nor a folder, nothing was added")


def _no_link(target: Target, error: OSError) -> StorageError:
    what = printable(target.segment)
    if error.errno == errno.EXDEV:
        return StorageError(f"{what}: the source lies on another file system; copy or move it")
    return StorageError(f"{what}: no hard link is possible ({error.strerror}); copy or move it")


@contextlib.contextmanager
def _tolerated() -> Iterator[None]:
    """For cleaning up: what cannot be undone must not hide why it was to be undone."""
    with contextlib.suppress(StorageError, OSError):
        yield


def _state(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_size, found.st_mtime_ns


def _changed(name: Name) -> StorageError:
    return StorageError(
        f"{name.display}: the source changed while it was read; add it when nobody writes to it"
    )


def _inode(folder_fd: int, segment: bytes) -> int | None:
    try:
        return os.stat(segment, dir_fd=folder_fd, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return None
