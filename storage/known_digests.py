"""SHA-256 of whole files: remembered for each state of a file, computed when asked for.

Computing is for threads, in steps of some milliseconds, and no more steps run at the same time
than leave the processor to downloads.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from functools import partial

from storage.blob import Blob
from storage.checksums import FileState
from storage.digests import Digester, Digests
from storage.pagecache import cold_pool

# 220 bytes each: 44 MB when full.
_MAX_KNOWN = 200_000
_BUFFER_BYTES = 256 << 10  # stays in the processor's cache between the read and the sum
# 5 to 20 ms of one processor: as long as another request waits for its turn.
_STEP_BYTES = 8 << 20
# What a network mount is asked for at once; it may be slow, and has a deadline for each answer.
_REMOTE_STEP_BYTES = 1 << 20

_scratch = threading.local()


def _ignore(blob: Blob, digests: Digests) -> None:
    """Nobody wants to hear of it."""


class KnownDigests:
    """A bounded memory of SHA-256 digests by the state of a file; the oldest are forgotten first.

    A state, not a name: a file that was renamed is still known, and one that changed is not.
    """

    def __init__(self, max_known: int = _MAX_KNOWN) -> None:
        self._max_known = max_known
        self._known: dict[bytes, bytes] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of any file."""
        return not self._known

    def get(self, state: FileState) -> bytes | None:
        """The 32 bytes of the digest, if it is known."""
        return self._known.get(state.key) if self._known else None

    def put(self, state: FileState, sha256: bytes) -> None:
        """Remember a digest."""
        self._known[state.key] = sha256
        if len(self._known) > self._max_known:
            del self._known[next(iter(self._known))]


class _Reading:
    """A file that is being read: those who want its digest read on by turns, each from its own."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.readers = 0
        self.begin()

    def begin(self) -> None:
        """Nothing of the file counts as read."""
        self.digester = Digester()
        self.offset = 0

    def take_note(self, step: asyncio.Future[int]) -> None:
        """Of so many bytes more; a step that failed may have added some of its own."""
        if step.cancelled() or step.exception() is not None:
            self.begin()
        else:
            self.offset += step.result()


class Hasher:
    """Computes digests for a whole process; for the event loop's thread.

    known: what was computed so far, also by others.  completed is told of each file as it ends.
    """

    def __init__(
        self,
        known: KnownDigests,
        simultaneous: int | None = None,
        completed: Callable[[Blob, Digests], None] = _ignore,
    ) -> None:
        self.known = known
        self._completed = completed
        self._turns = asyncio.Semaphore(simultaneous or _default_simultaneous())
        self._readings: dict[bytes, _Reading] = {}

    async def sha256(self, blob: Blob, device: int) -> bytes | None:
        """The digest of an open file as it was when it was opened; None if it changed since.

        device: where it lies, see FileState.  However many ask for it at once, a file is read
        once.  One call uses one thread at a time, and may be cancelled: the others go on from
        there.  Raises Unavailable and other StorageErrors.
        """
        state = FileState(device, blob.fingerprint)
        key = state.key
        reading = self._readings.setdefault(key, _Reading())
        reading.readers += 1
        try:
            while (known := self.known.get(state)) is None:
                async with reading.turn:
                    if not await self._read_on(reading, blob, state):
                        return None
            return known
        finally:
            reading.readers -= 1
            if reading.readers == 0:
                del self._readings[key]

    async def _read_on(self, reading: _Reading, blob: Blob, state: FileState) -> bool:
        """Read a step further, or tell the digest at the end; False when the file changed."""
        at = reading.offset
        if self.known.get(state) is not None:  # since it became this reader's turn
            return True
        if at < blob.complete_length:
            await self._take(blob, reading)
            return reading.offset > at
        if await blob.look_again() != blob.fingerprint:
            return False
        digests = reading.digester.digests()
        self.known.put(state, digests.sha256)
        self._completed(blob, digests)
        return True

    async def _take(self, blob: Blob, reading: _Reading) -> None:
        """Add the next bytes, none at the end of the file."""
        update, at = reading.digester.update, reading.offset
        left = blob.complete_length - at
        if blob.zero_copy:  # no call on it hangs
            async with self._turns:
                step = blob.run(partial(_read_into, update, at, min(left, _STEP_BYTES)))
                await _to_its_end(step, reading)
            return
        # A mount that hangs must not hold a turn: the others' files lie elsewhere.
        piece = await blob.read(at, min(left, _REMOTE_STEP_BYTES))
        async with self._turns:
            await _to_its_end(cold_pool().run(partial(_add, update, piece)), reading)


async def _to_its_end(work: Coroutine[None, None, int], reading: _Reading) -> None:
    """Do a step of a reading; cancelled, first wait until its thread leaves the digest alone."""
    step = asyncio.ensure_future(work)
    step.add_done_callback(reading.take_note)
    try:
        await asyncio.wait([step])
    finally:
        if not step.done():
            await asyncio.wait([step])
    step.result()


def _add(update: Callable[[bytes | memoryview], None], piece: bytes) -> int:
    update(piece)
    return len(piece)


def _default_simultaneous() -> int:
    return min(max((os.cpu_count() or 2) // 2, 1), 4)


def _read_into(
    update: Callable[[bytes | memoryview], None], offset: int, length: int, fileno: int
) -> int:
    """Give length bytes from offset to update; how many there were before the end of the file."""
    buffer = _buffer()
    position, stop = offset, offset + length
    while position < stop:
        count = os.preadv(fileno, [buffer[: stop - position]], position)
        if count == 0:
            break
        update(buffer[:count])
        position += count
    return position - offset


def _buffer() -> memoryview:
    buffer: memoryview | None = getattr(_scratch, "buffer", None)
    if buffer is None:
        buffer = _scratch.buffer = memoryview(bytearray(_BUFFER_BYTES))
    return buffer
