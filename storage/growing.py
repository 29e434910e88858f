"""What became of an open file that somebody else may still be writing to.

The name is opened again for each look, rather than asking the status of the descriptor that is
held: one call tells growth and replacement alike, it goes through the pool of the mount where that
may hang, and on NFS an open is what makes the client ask the server for the size of now
(close-to-open consistency, nfs(5)); a status may be a minute old there.  On a local disk it is 20
microseconds.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from storage.blob import Blob
from storage.errors import IsFolder, NotAFolder, NotFound
from storage.names import Name


class Fate(Enum):
    """What a name means now, compared with the file that was opened by it."""

    HERE = "the same file"
    REPLACED = "something else"
    DELETED = "nothing"


@dataclass(frozen=True, slots=True)
class Sight:
    """One look; size in bytes is that of the opened file, None where the name lost it."""

    fate: Fate
    size: int | None = None


class Opens(Protocol):
    """What opens names; LocalStorage does."""

    async def open(self, name: Name) -> Blob:
        """The file name means now; the caller closes it."""


async def look_again(storage: Opens, name: Name, opened: Blob) -> Sight:
    """What became of opened, which name meant once; raises AccessDenied and Unavailable.

    The inode tells files apart: opened holds its own, so that no new file can have the number.
    """
    try:
        current = await storage.open(name)
    except (NotFound, NotAFolder):
        return Sight(Fate.DELETED)
    except IsFolder:
        return Sight(Fate.REPLACED)
    try:
        if current.fingerprint.inode != opened.fingerprint.inode:
            return Sight(Fate.REPLACED)
        return Sight(Fate.HERE, current.complete_length)
    finally:
        await current.close()
