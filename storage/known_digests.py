"""SHA-256 of whole files: remembered for each state of a file, computed when asked for.

Computing is for threads, in steps of some milliseconds, and no more steps run at the same time
than leave the processor to downloads.
"""

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable
from functools import partial

from storage.blob import Blob
from storage.checksums import FileState
from storage.pagecache import cold_pool

# 220 bytes each: 44 MB when full.
_MAX_KNOWN = 200_000
_BUFFER_BYTES = 256 << 10  # stays in the processor's cache between the read and the sum
# 5 to 20 ms of one processor: as long as another request waits for its turn.
_STEP_BYTES = 8 << 20
# What a network mount is asked for at once; it may be slow, and has a deadline for each answer.
_REMOTE_STEP_BYTES = 1 << 20

_scratch = threading.local()


class KnownDigests:
    """A bounded memory of SHA-256 digests by the state of a file; the oldest are forgotten first.

    A state, not a name: a file that was renamed is still known, and one that changed is not.
    """

    def __init__(self, max_known: int = _MAX_KNOWN) -> None:
        self._max_known = max_known
        self._known: dict[bytes, bytes] = {}

    def get(self, state: FileState) -> bytes | None:
        """The 32 bytes of the digest, if it is known."""
        return self._known.get(state.key)

    def put(self, state: FileState, sha256: bytes) -> None:
        """Remember a digest."""
        self._known[state.key] = sha256
        if len(self._known) > self._max_known:
            del self._known[next(iter(self._known))]


class Hasher:
    """Computes digests for a whole process; for the event loop's thread.

    known: what was computed so far, also by others.
    """

    def __init__(self, known: KnownDigests, simultaneous: int | None = None) -> None:
        self.known = known
        self._turns = asyncio.Semaphore(simultaneous or _default_simultaneous())

    async def sha256(self, blob: Blob, device: int) -> bytes | None:
        """The digest of an open file as it was when it was opened; None if it changed since.

        device: where it lies, see FileState.  One call uses one thread at a time, and may be
        cancelled.  Raises Unavailable and other StorageErrors.
        """
        state = FileState(device, blob.fingerprint)
        known = self.known.get(state)
        if known is not None:
            return known
        sha256 = hashlib.sha256()
        offset = 0
        while offset < blob.complete_length:
            taken = await self._take(blob, sha256.update, offset)
            if taken == 0:
                return None
            offset += taken
        if await blob.look_again() != blob.fingerprint:
            return None
        self.known.put(state, sha256.digest())
        return sha256.digest()

    async def _take(self, blob: Blob, update: Callable[[bytes | memoryview], None], at: int) -> int:
        """Add the next bytes from an offset; their number, 0 at the end of the file."""
        left = blob.complete_length - at
        if blob.zero_copy:  # no call on it hangs
            async with self._turns:
                return await blob.run(partial(_read_into, update, at, min(left, _STEP_BYTES)))
        # A mount that hangs must not hold a turn: the others' files lie elsewhere.
        piece = await blob.read(at, min(left, _REMOTE_STEP_BYTES))
        async with self._turns:
            await cold_pool().run(partial(update, piece))
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
