"""The admin's hands on a root: look, list, remove and move, as plain blocking calls.

Names go through the same Root that serves them, so nothing outside it is shown or touched.
Everything here raises StorageError with a sentence for the admin.
"""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial

from storage.atomic import Existing, Target, rename, sync_folder
from storage.beneath import Root, Symlinks
from storage.errors import (
    AccessDenied,
    AlreadyExists,
    IsFolder,
    NameRefused,
    NotAFolder,
    NotFound,
    StorageError,
    explained,
)
from storage.missing_folders import make_missing, remove_made
from storage.mounts import MOUNTINFO, Mounts, parse_mountinfo
from storage.names import Name, is_staging, printable
from storage.ordering import in_byte_order

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Kind(Enum):
    """What a name means."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"  # a symlink itself, or one that leads nowhere or out of the root
    SPECIAL = "special"  # FIFO, socket, device: never handed out


class Scope(Enum):
    """How far down to go."""

    ENTRY = "entry"
    TREE = "tree"


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a root; what is behind it is as fstat(2) says it."""

    name: Name
    kind: Kind
    size: int
    modified_ns: int
    changed_ns: int
    inode: int


def look(root: Root, name: Name) -> Item:
    """What name means, through symlinks beneath the root; raises NotFound and others."""
    with explained(name.display):
        fd = root.open_any_mount(name, os.O_PATH | os.O_CLOEXEC)
        try:
            return _item(name, os.fstat(fd))
        finally:
            os.close(fd)


def look_at_entry(root: Root, name: Name) -> Item:
    """The entry itself, a symlink as a symlink: what remove would remove."""
    if not name.segments:
        return look(root, name)
    with opened_folder(root, name.parent) as fd, explained(name.display):
        return _item(name, os.stat(name.last, dir_fd=fd, follow_symlinks=False))


def list_folder(
    root: Root, folder: Name, scope: Scope, refused: Callable[[StorageError], None]
) -> Iterator[Item]:
    """The entries of a folder; with Scope.TREE each folder is followed by what is in it.

    Files come in the order of their paths' bytes.  Folders reached through symlinks are not
    entered: they may form circles.  refused is told of folders below that cannot be read; raises
    only if folder itself cannot.
    """
    levels = [_listed(root, folder)]
    while levels:
        found = next(levels[-1], None)
        if found is None:
            levels.pop()
            continue
        item, is_link = found
        yield item
        if scope is Scope.TREE and item.kind is Kind.FOLDER and not is_link:
            try:
                levels.append(_listed(root, item.name))
            except StorageError as error:
                refused(error)


def remove(root: Root, name: Name, scope: Scope) -> None:
    """Remove an entry; a folder only with Scope.TREE, and then with everything in it.

    A symlink is removed itself, never what it leads to.  Raises IsFolder, AccessDenied where
    another file system is mounted in the folder, and others.
    """
    _refuse_root(name)
    with opened_folder(root, name.parent) as fd, explained(name.display):
        if not stat.S_ISDIR(os.stat(name.last, dir_fd=fd, follow_symlinks=False).st_mode):
            os.unlink(name.last, dir_fd=fd)
        elif scope is Scope.TREE:
            _refuse_mounts_in(fd, name)
            shutil.rmtree(name.last, dir_fd=fd)
        else:
            raise IsFolder(f"{name.display}: is a folder")
        sync_folder(fd)


def move(root: Root, old: Name, new: Name, existing: Existing) -> None:
    """Give an entry another name, within one file system; missing folders above it are made.

    Raises AlreadyExists if new is taken: by a folder in any case, by a file unless existing
    says to replace it.
    """
    _refuse_root(old)
    _refuse_root(new)
    if new.segments[: len(old.segments)] == old.segments:
        raise NameRefused(f"{old.display} cannot be moved to itself or into itself")
    made: list[Name] = []
    try:
        with opened_folder(root, old.parent) as old_fd:
            with explained(old.display):
                moved = os.stat(old.last, dir_fd=old_fd, follow_symlinks=False)
            make_folders(root, new.parent, made)
            with opened_folder(root, new.parent) as new_fd, explained(new.display):
                refuse_taken(new_fd, new, _strictest(existing, moved))
                with _explained_crossing(old, new):
                    rename(old_fd, old.last, Target(new_fd, new.last, existing))
    except BaseException:
        remove_empty_folders(root, made)
        raise


def make_folders(root: Root, folder: Name, made: list[Name]) -> None:
    """Make a folder and those above it as far as they are missing; the new ones go into made."""
    there = folder
    while not _is_there(root, there):
        there = there.parent
    make_missing(partial(opened_folder, root), there, folder, made)


def remove_empty_folders(root: Root, folders: Sequence[Name]) -> None:
    """Take back what make_folders made, as far as nobody has put anything in."""
    remove_made(partial(opened_folder, root), folders)


def refuse_taken(folder_fd: int, name: Name, existing: Existing) -> None:
    """Raise AlreadyExists early if name cannot be made in folder_fd; atomic decides in the end."""
    try:
        found = os.stat(name.last, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise AlreadyExists(f"{name.display}: a folder of this name already exists")
    if existing is Existing.REFUSE:
        raise AlreadyExists(f"{name.display}: already exists")


@contextlib.contextmanager
def opened_root(path: str | os.PathLike[str], symlinks: Symlinks) -> Iterator[Root]:
    """The root at path, closed at the end; raises NotFound, NotAFolder, AccessDenied."""
    what = printable(os.fsencode(path))
    with explained(what):
        try:
            root = Root(path, symlinks)
        except NotADirectoryError:
            raise NotAFolder(f"{what}: is not a folder") from None
    try:
        yield root
    finally:
        root.close()


@contextlib.contextmanager
def opened_folder(root: Root, folder: Name) -> Iterator[int]:
    """A descriptor of folder to read and to name things in, closed at the end."""
    with explained(folder.display):
        try:
            fd = root.open_any_mount(folder, _FOLDER_FLAGS)
        except NotADirectoryError:
            raise NotAFolder(f"{folder.display}: is not a folder") from None
    try:
        yield fd
    finally:
        os.close(fd)


def _is_there(root: Root, folder: Name) -> bool:
    with contextlib.suppress(NotFound), opened_folder(root, folder):
        return True
    return not folder.segments


def _listed(root: Root, folder: Name) -> Iterator[tuple[Item, bool]]:
    """The entries of a folder as they are now, in the order of the paths in a tree."""
    with opened_folder(root, folder) as fd:
        # All paths below a folder have a slash behind its name: "a-b" comes before "a/b".
        found = {
            item.name.last + (b"/" if item.kind is Kind.FOLDER and not is_link else b""):
            (item, is_link) for item, is_link in _entries(root, folder, fd)
        }  # fmt: skip
    return map(found.__getitem__, in_byte_order([*found]))


def _entries(root: Root, folder: Name, fd: int) -> Iterator[tuple[Item, bool]]:
    """The folder's entries, each with whether it is a symlink.

    Those that vanish are left out, and those that no address can name.
    """
    with os.scandir(fd) as entries:
        for entry in entries:
            if is_staging(os.fsencode(entry.name)):
                continue
            with contextlib.suppress(FileNotFoundError, NameRefused):
                name = folder.child(os.fsencode(entry.name))
                found = entry.stat(follow_symlinks=False)
                yield _resolved(root, name, found), stat.S_ISLNK(found.st_mode)


def _resolved(root: Root, name: Name, found: os.stat_result) -> Item:
    if stat.S_ISLNK(found.st_mode):
        with contextlib.suppress(StorageError):
            return look(root, name)
    return _item(name, found)


def _item(name: Name, found: os.stat_result) -> Item:
    return Item(
        name,
        _kind(found.st_mode),
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
        found.st_ino,
    )


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.FOLDER
    return Kind.LINK if stat.S_ISLNK(mode) else Kind.SPECIAL


def _refuse_root(name: Name) -> None:
    if not name.segments:
        raise NameRefused("the root folder itself is neither moved nor removed")


def _refuse_mounts_in(folder_fd: int, name: Name) -> None:
    # Removing a tree must never empty a disk that somebody mounted in it.
    with open(MOUNTINFO, "rb") as lines:
        mount = Mounts(parse_mountinfo(lines.read())).within(folder_fd, name.last)
    if mount is not None:
        where = printable(mount.point)
        raise AccessDenied(
            f"{name.display}: another file system is mounted at {where}; unmount it first"
        )


def _strictest(existing: Existing, moved: os.stat_result) -> Existing:
    """Only files replace files."""
    return Existing.REFUSE if stat.S_ISDIR(moved.st_mode) else existing


@contextlib.contextmanager
def _explained_crossing(old: Name, new: Name) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        raise StorageError(
            f"{old.display} and {new.display} lie on different file systems; "
            "add the file under its new name, then remove the old one"
        ) from error
