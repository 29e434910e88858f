"""Reads many small files in one go of a thread, with their CRC-32.

Opening, sending and closing one by one on the event loop costs more than all the bytes of a small
file: an archive of 100,000 of them would take minutes.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from storage.beneath import CrossesMount
from storage.checksums import FileState
from storage.crc32 import crc32
from storage.errors import NotFound, from_os_error
from storage.names import Name
from storage.pagecache import cold_pool
from storage.routing import Router

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class SmallFile:
    """All bytes of a file and their CRC-32."""

    content: bytes
    crc32: int


# A file as it was seen: what it is now must not be taken for it.
Seen = tuple[Name, FileState]


async def read_small_files(router: Router, wanted: Sequence[Seen]) -> list[SmallFile | None]:
    """The files, in the order of wanted; None for those that lie on another mount than the root.

    Raises NotFound when one of them is gone or not what it was, and other StorageErrors.
    """
    pool = router.network_root_pool or cold_pool()
    return await pool.run(lambda: [_read(router, name, state) for name, state in wanted])


def _read(router: Router, name: Name, state: FileState) -> SmallFile | None:
    try:
        fileno = router.root.open_same_mount(name, _READ)
    except CrossesMount:
        return None
    except OSError as error:
        raise from_os_error(error, name.display) from error
    try:
        return _read_open(fileno, name, state)
    except OSError as error:
        raise from_os_error(error, name.display) from error
    finally:
        os.close(fileno)


def _read_open(fileno: int, name: Name, state: FileState) -> SmallFile:
    pieces: list[bytes] = []
    left = state.fingerprint.size
    while left and (piece := os.read(fileno, left)):
        pieces.append(piece)
        left -= len(piece)
    # After the bytes were read: whoever wrote meanwhile is seen.
    if left or FileState.of(os.fstat(fileno)) != state:
        raise NotFound(f"{name.display}: is not what it was")
    content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return SmallFile(content, crc32(content))
