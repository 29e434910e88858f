"""Folders that are missing: made durably, and taken back when nothing came of it."""

import contextlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from storage.atomic import sync_folder
from storage.errors import StorageError, explained
from storage.names import Name

# A descriptor of a folder, for reading and fsync, closed at the end; raises StorageErrors.
Opened = Callable[[Name], AbstractContextManager[int]]


def make_missing(opened: Opened, there: Name, folder: Name, made: list[Name]) -> None:
    """Make a folder and those above it, below one that is there; the new ones go into made."""
    for depth in range(len(there.segments) + 1, len(folder.segments) + 1):
        name = Name(folder.segments[:depth])
        with opened(name.parent) as above_fd, explained(name.display):
            # Where somebody was faster, it is perhaps not flushed yet.
            with contextlib.suppress(FileExistsError):
                os.mkdir(name.last, dir_fd=above_fd)
                made.append(name)
            sync_folder(above_fd)


def remove_made(opened: Opened, made: Sequence[Name]) -> None:
    """Take back what make_missing made, as far as nobody has put anything in."""
    for name in reversed(made):
        with contextlib.suppress(StorageError, OSError), opened(name.parent) as fd:
            os.rmdir(name.last, dir_fd=fd)
