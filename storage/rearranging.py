"""Removes and moves what lies beneath a root, each in one step that others see whole.

Everything here blocks and raises StorageErrors: for threads of the landing's pool.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress

from storage.atomic import Target, rename_entry, sync_folder
from storage.blob import Fingerprint, fingerprint_of
from storage.errors import (
    AlreadyExists,
    Changed,
    NoSpace,
    NotFound,
    OtherFileSystem,
)
from storage.landing import Claim, Landing
from storage.library import Scope
from storage.missing_folders import remove_made
from storage.moved_links import refuse_climbing_links
from storage.names import Name
from storage.plain_walk import remove_tree
from storage.staging import locked, new_gone_segment


def remove(landing: Landing, scope: Scope, expected: Fingerprint | None) -> None:
    """Remove an entry, a folder with all it holds only with Scope.TREE; a symlink itself.

    expected: only a file in this state.  Raises NotFound, NotEmpty, Changed and others.
    """
    gone: bytes | None = None
    with (
        landing.opened(landing.name.parent) as folder_fd,
        landing.explained(),
        _staging_if_any(landing) as staging_fd,
    ):
        with nullcontext() if staging_fd is None else locked(staging_fd):
            found = _required(landing, folder_fd, expected)
            if not stat.S_ISDIR(found.st_mode):
                os.unlink(landing.name.last, dir_fd=folder_fd)
            elif scope is Scope.ENTRY:
                os.rmdir(landing.name.last, dir_fd=folder_fd)
            else:
                gone = _set_aside(landing, folder_fd, staging_fd)
        sync_folder(folder_fd)
        if gone is not None and staging_fd is not None:
            # It is gone for everybody; what cannot be removed now, the next start will.
            remove_tree(gone, staging_fd)


def move(
    old: Landing, new: Landing, claim: Claim, expected: Fingerprint | None
) -> Fingerprint | None:
    """Give an entry another name on its mount; its state afterwards, None for a folder.

    expected: only a file in this state; claim: what may have the new name, which a folder never
    takes from anything.  Missing folders are made.  Raises NotFound, AlreadyExists, Changed,
    OtherFileSystem and others.
    """
    _refuse_into_itself(old.name, new.name)
    if not old.is_beside(new):
        raise _on_another(old, new)
    made: list[Name] = []
    try:
        with (
            old.opened(old.name.parent) as old_fd,
            old.explained(),
            new.opened_staging() as staging_fd,
        ):
            # Before any folder is made.
            found = _required(old, old_fd, expected)
            old.refuse_mounts(old_fd)
            if old.name.parent != new.name.parent:
                refuse_climbing_links(old.name, old_fd, found)
            with new.made_folder(new.name.parent, made) as new_fd, locked(staging_fd):
                # Another one may have got the name, with links that nobody looked at.
                if not os.path.samestat(found, _required(old, old_fd, expected)):
                    raise Changed(f"{old.name.display}: was changed meanwhile")
                state = _rename(old, old_fd, new, new_fd, _strictest(claim, found))
                # The new name first: a power cut may show both names, never none.
                sync_folder(new_fd)
                sync_folder(old_fd)
        return state
    except BaseException:
        remove_made(new.opened, made)
        raise


def _required(landing: Landing, folder_fd: int, expected: Fingerprint | None) -> os.stat_result:
    found = landing.entry(folder_fd, landing.name.last)
    if found is None:
        raise NotFound(f"{landing.name.display}: not found")
    if expected is not None and fingerprint_of(found) != expected:
        raise Changed(f"{landing.name.display}: was changed meanwhile")
    return found


@contextmanager
def _staging_if_any(landing: Landing) -> Iterator[int | None]:
    """The staging folder; None where it is not there, and a full disk has no room for it.

    Removing is what makes room then: it goes on without the lock.
    """
    with ExitStack() as stack:
        staging_fd = None
        with suppress(NoSpace):
            staging_fd = stack.enter_context(landing.opened_staging())
        yield staging_fd


def _set_aside(landing: Landing, folder_fd: int, staging_fd: int | None) -> bytes:
    """Take a folder out of everybody's sight in one step; its name among what is staged."""
    if staging_fd is None:
        raise NoSpace(f"{landing.name.display}: no space left to set it aside")
    landing.refuse_mounts(folder_fd)
    gone = new_gone_segment()
    os.rename(landing.name.last, gone, src_dir_fd=folder_fd, dst_dir_fd=staging_fd)
    return gone


def _rename(
    old: Landing, old_fd: int, new: Landing, new_fd: int, claim: Claim
) -> Fingerprint | None:
    new.refuse_taken(new_fd, claim)
    try:
        rename_entry(old_fd, old.name.last, Target(new_fd, new.name.last, claim.existing))
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise _on_another(old, new) from error
        if error.errno == errno.EINVAL:  # rename(2): reached through a link
            raise _into_itself(old.name) from error
        raise
    moved = new.entry(new_fd, new.name.last)
    is_file = moved is not None and stat.S_ISREG(moved.st_mode)
    return fingerprint_of(moved) if moved is not None and is_file else None


def _strictest(claim: Claim, moved: os.stat_result) -> Claim:
    """Only files replace files."""
    return claim if stat.S_ISREG(moved.st_mode) else Claim()


def _refuse_into_itself(old: Name, new: Name) -> None:
    if new.segments[: len(old.segments)] == old.segments:
        raise _into_itself(old)


def _into_itself(name: Name) -> AlreadyExists:
    return AlreadyExists(f"{name.display} cannot be moved to itself or into itself")


def _on_another(old: Landing, new: Landing) -> OtherFileSystem:
    return OtherFileSystem(
        f"{old.name.display} and {new.name.display} lie on different file systems"
    )
