"""One upload that grows: bytes are put behind those that are there, where there is room."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from storage.copying import Fill, filled_pieces
from storage.digests import Buffer
from storage.landing import Landing, require_space
from storage.quota import Quota
from storage.upload_bytes import OpenUpload
from storage.upload_sessions import Session

T = TypeVar("T")


class Upload:
    """An upload that takes bytes; ResumableUploads.release() lets the next one in.

    Its calls run in the threads of its mount and raise StorageErrors.
    """

    def __init__(
        self, landing: Landing, opened: OpenUpload, keep_free_bytes: int, quota: Quota | None
    ) -> None:
        self.landing = landing
        self.opened = opened
        self._keep_free_bytes = keep_free_bytes
        self._quota = quota

    @property
    def session(self) -> Session:
        """What is written down of it."""
        return self.opened.session

    @property
    def offset(self) -> int:
        """How many bytes there are."""
        return self.opened.offset

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are there."""
        return self.opened.is_whole

    async def append(
        self, buffers: Sequence[Buffer], also: Callable[[Buffer], None] | None = None
    ) -> None:
        """Write bytes behind those that are there, and show them to `also`; raises NoSpace."""
        await self.run(partial(self._append, buffers, also))

    async def append_on(
        self, buffers: Sequence[Buffer], fill: Fill, also: Callable[[Buffer], None] | None = None
    ) -> None:
        """Do the same, and go on with all that fill brings."""
        await self.run(partial(self._append_on, buffers, fill, also))

    async def take_room(self, size: int) -> None:
        """Let size more bytes count before they are there; raises NoSpace."""
        await self.run(partial(self._take_room, size))

    async def require_room(self, size: int) -> None:
        """Raise NoSpace unless there is room for size more bytes."""
        await self.run(partial(self._require_room, size))

    async def run(self, call: Callable[[], T]) -> T:
        """What a call on the bytes returns."""
        return await run_on_mount(self.landing, call)

    def _append(self, buffers: Sequence[Buffer], also: Callable[[Buffer], None] | None) -> None:
        self._take_room(sum(map(len, buffers)))
        self.opened.append(buffers)
        if also is not None:
            for buffer in buffers:
                also(buffer)

    def _append_on(
        self, buffers: Sequence[Buffer], fill: Fill, also: Callable[[Buffer], None] | None
    ) -> None:
        # Whoever cuts off what was not verified must not do so between two pieces.
        with self.opened.held():
            self._append(buffers, also)
            for piece in filled_pieces(fill):
                self._append((piece,), also)

    def _take_room(self, size: int) -> None:
        self._require_disk(size)
        if self._quota is not None:
            self._quota.take(size)
            # What is on the disk counts, whole or not.
            self._quota.settle(size)

    def _require_room(self, size: int) -> None:
        if self._quota is not None:
            self._quota.require(size)
        self._require_disk(size)

    def _require_disk(self, size: int) -> None:
        what = self.landing.name.display
        require_space(self.opened.fileno(), size, self._keep_free_bytes, what)


async def run_on_mount(
    landing: Landing, call: Callable[[], T], discard: Callable[[T], None] | None = None
) -> T:
    """What a call returns that is made in the threads of a landing's mount; see BoundedPool.run."""

    def explained() -> T:
        with landing.explained():
            return call()

    return await landing.pool.run(explained, discard=discard)
