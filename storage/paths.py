"""Opens a path that the program itself chose, outside of any root: for FileResponse only."""

import os
from functools import cache

from storage.blob import Blob, Sending
from storage.errors import from_os_error
from storage.mounts import Mounts, MountTable, mount_id
from storage.names import printable
from storage.pools import BoundedPool

_OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_THREADS = 16
_DEADLINE_SECONDS = 10.0

_table = MountTable()
_pools: dict[int, BoundedPool] = {}


async def open_path(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> Blob:
    """Open the regular file at ``path``, in a thread: nobody knows what it lies on before.

    Raises IsFolder, NotFound (also for special files), AccessDenied and
    Unavailable.  Symlinks are followed: the caller chose the path.
    """
    what = printable(os.fsencode(path))
    try:
        return await _opening_pool().run(lambda: _open(path, what), discard=Blob.release)
    except OSError as error:
        raise from_os_error(error, what) from error


@cache
def _opening_pool() -> BoundedPool:
    return BoundedPool("paths", threads=_THREADS, deadline_seconds=_DEADLINE_SECONDS)


def _open(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], what: str) -> Blob:
    descriptor = os.open(path, _OPEN_FLAGS)
    # The kernel's tables are asked, not the file system: this cannot hang.
    mounts, identity = _table.current(), mount_id(descriptor)
    if mounts.is_network(mounts.by_id.get(identity)):
        return Blob.adopt(
            descriptor, what, sending=Sending.CHUNKED, pool=_pool_of(mounts, identity)
        )
    return Blob.adopt(descriptor, what)


def _pool_of(mounts: Mounts, identity: int) -> BoundedPool:
    """Return the pool of a network mount; those of mounts that are gone are dropped."""
    for gone in _pools.keys() - mounts.by_id.keys():
        _pools.pop(gone, None)
    mount = mounts.by_id.get(identity)
    label = printable(mount.point) if mount is not None else f"number {identity}"
    pool = BoundedPool(f"mount {label}", threads=8, deadline_seconds=_DEADLINE_SECONDS)
    return _pools.setdefault(identity, pool)
