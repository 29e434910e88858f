"""Where an open file lies: a path for other programs that open it themselves."""

import os

_DELETED = b" (deleted)"


def place_beneath(fileno: int, root: bytes) -> bytes | None:
    """The path of an open file relative to root, which is a real path; no symlink is on its way.

    None when it lies elsewhere, is deleted, or has no path in this mount namespace.  Asks the
    kernel's memory of names and no file system, so it cannot hang.  A file that is really named
    "... (deleted)" looks like one that is, and is None, too.
    """
    path = os.readlink(b"/proc/self/fd/%d" % fileno)
    top = root.rstrip(b"/") + b"/"
    if not path.startswith(top) or path.endswith(_DELETED):
        return None
    return path[len(top) :]
