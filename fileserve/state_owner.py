"""Whose a state folder is: the root that it belongs to is written down in it.

Two roots in one folder would take each other's checksums for their own: the names are the same.
"""

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from fileserve.settings import SettingsError
from storage.names import printable
from storage.private_files import replace_for_owner

OWNER_FILE = "root"
_RECORD = re.compile(rb"([0-9]+) ([0-9]+) (/.*)\n", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Owner:
    """A root: its path without links, and the device and inode that stay when it is renamed."""

    path: bytes
    device: int
    inode: int


def refuse_of_another(folder: Path, root: Path) -> None:
    """Raise SettingsError where a state folder belongs to another root."""
    kept, path = _kept(folder / OWNER_FILE), _real(root)
    if kept is None or kept.path == path:
        return
    here = _owner(path)
    if here is None or (here.device, here.inode) != (kept.device, kept.inode):
        what, whose = printable(os.fsencode(folder)), printable(kept.path)
        raise SettingsError(
            f"state_dir: {what} belongs to the root {whose}, not to {printable(path)}: name "
            "another folder by --state-dir; or, if that root has moved here, remove "
            f"{printable(os.fsencode(folder / OWNER_FILE))}"
        )


def note_owner(folder: Path, root: Path) -> None:
    """Write down to which root a state folder belongs from now on."""
    here = _owner(_real(root))
    if here is None or here == _kept(folder / OWNER_FILE):
        return
    record = b"%d %d %s\n" % (here.device, here.inode, here.path)
    # Whoever cannot write here is told so by what needs it; another process may have been faster.
    with contextlib.suppress(OSError):
        replace_for_owner(os.fspath(folder / OWNER_FILE), record)


def _kept(file: Path) -> _Owner | None:
    """What is written down; None where nothing is, or nothing that can be read."""
    try:
        record = file.read_bytes()
    except OSError:
        return None
    found = _RECORD.fullmatch(record)
    return None if found is None else _Owner(found[3], int(found[1]), int(found[2]))


def _owner(path: bytes) -> _Owner | None:
    """A root as it is now; None where it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _Owner(path, status.st_dev, status.st_ino)


def _real(root: Path) -> bytes:
    return os.path.realpath(os.fsencode(root))
