"""Writing: what a server changes beneath a root, each call in the threads of its mount."""

import os
import stat
from functools import partial

from storage import rearranging
from storage.blob import Fingerprint
from storage.errors import NameRefused, NotAFolder, NotFound, StorageError
from storage.incoming import Incoming
from storage.landing import Claim, Landing
from storage.library import Scope
from storage.local import HiddenNames, LocalStorage
from storage.names import Name
from storage.quota import Quota
from storage.routing import Place, Router
from storage.staging import sweep

_LOOK = os.O_PATH | os.O_CLOEXEC
# Stands for whatever lies in a folder that only itself is asked for.
_ANY = b"?"


class Writing:
    """Changes beneath the root of a storage, hidden names only where those are shown."""

    def __init__(self, storage: LocalStorage, quota_bytes: int | None = None) -> None:
        """quota_bytes: what all files may have together; None: as much as there is."""
        self._router = storage.router
        self._hidden = storage.hidden
        root_fd = storage.router.root.fileno
        self.quota = None if quota_bytes is None else Quota(root_fd, quota_bytes)

    async def land(self, name: Name) -> Landing:
        """Where a file called name would appear, whether or not it or its folder is there.

        Raises NameRefused for hidden names and the root, NotAFolder where a file is in the way,
        and what opening raises.
        """
        self._refuse(name)
        folder = name.parent
        while True:
            try:
                return await self._landing(name, folder)
            except NotFound:
                if not folder.segments:
                    raise
            folder = folder.parent

    async def state_of(self, name: Name) -> Fingerprint | None:
        """The state of the file that has the name; raises where none could ever be put."""
        landing = await self.land(name)
        return await landing.pool.run(landing.look)

    async def receive(self, name: Name, keep_free_bytes: int = 0) -> Incoming:
        """Begin a file called name; the caller ends it by commit or abort.

        Raises what land raises, and AccessDenied where nothing may be written.
        """
        landing = await self.land(name)
        begin = partial(Incoming, landing, keep_free_bytes, self.quota)
        return await landing.pool.run(begin, discard=Incoming.abort)

    async def remove(self, name: Name, scope: Scope, expected: Fingerprint | None) -> None:
        """Remove an entry; see rearranging.remove."""
        landing = await self.land(name)
        _require_parent(landing)
        await landing.pool.run(partial(rearranging.remove, landing, scope, expected))

    async def move(
        self, old: Name, new: Name, claim: Claim, expected: Fingerprint | None
    ) -> Fingerprint | None:
        """Give an entry another name; see rearranging.move."""
        source, target = await self.land(old), await self.land(new)
        _require_parent(source)
        return await target.pool.run(partial(rearranging.move, source, target, claim, expected))

    async def sweep(self) -> None:
        """Remove what killed writers left on the mounts that can be reached at once.

        A mount that does not answer, or may not be written, keeps it until the next start.
        """
        for prefix in self.mount_points():
            try:
                landing = await self.land_at_top(prefix)
                await landing.pool.run(partial(_sweep, landing, Name(prefix)))
            except StorageError:
                continue

    def mount_points(self) -> list[tuple[bytes, ...]]:
        """Where the root's mount and all below it begin."""
        return [(), *self._router.mount_points()]

    async def land_at_top(self, prefix: tuple[bytes, ...]) -> Landing:
        """The landing of some file at the top of the mount at prefix; raises StorageErrors."""
        return await self._landing(Name((*prefix, _ANY)), Name(prefix))

    async def _landing(self, name: Name, folder: Name) -> Landing:
        """The landing of name, whose folder is there; raises NotFound, NotAFolder and others."""
        make = partial(_landing, self._router, name, folder)
        return await self._router.reach(folder, _LOOK, make)

    def _refuse(self, name: Name) -> None:
        if not name.segments:
            raise NameRefused("the root folder itself is neither written nor moved")
        if self._hidden is HiddenNames.REFUSE and name.is_hidden:
            raise NameRefused(f"{name.display}: hidden names are not served")


def _landing(router: Router, name: Name, folder: Name, fileno: int, place: Place | None) -> Landing:
    try:
        if not stat.S_ISDIR(os.fstat(fileno).st_mode):
            raise NotAFolder(f"{folder.display}: is not a folder")
    finally:
        os.close(fileno)
    return Landing(router, name, folder, place)


def _require_parent(landing: Landing) -> None:
    if landing.nearest != landing.name.parent:
        raise NotFound(f"{landing.name.display}: not found")


def _sweep(landing: Landing, folder: Name) -> int:
    with landing.opened(folder) as mount_fd, landing.explained():
        return sweep(mount_fd)
