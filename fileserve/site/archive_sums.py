"""Gets the CRC-32 of members: remembered, summed while they are sent, or read when need be."""

import asyncio
import os
from dataclasses import dataclass
from functools import partial

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.archive_plans import ArchivePlan
from storage.blob import Blob
from storage.checksums import Checksums, FileState, PartialSum, joined, read_crc32
from storage.local import LocalStorage
from storage.names import Name

# What is sent or summed in one go.  Each costs a call in a thread, and a file that changes is
# noticed at the end of each.
WINDOW_BYTES = 32 << 20
# On a mount that may be slow, whose answers have a deadline.
_SLOW_WINDOW_BYTES = 1 << 20
# Readers that nobody may be waiting for any more; all others wait for their turn.
_READS_AT_ONCE = 2


@dataclass(slots=True)
class _Reading:
    """A file that is read for its sum; waiting: how many archives need it now."""

    task: asyncio.Task[int]
    waiting: int = 0


class ArchiveSums:
    """The sums of one storage's files; for its event loop."""

    def __init__(self) -> None:
        self._checksums = Checksums()
        self._readings: dict[FileState, _Reading] = {}
        self._begun: set[FileState] = set()
        self._turns = asyncio.Semaphore(_READS_AT_ONCE)
        self._slow_turns = asyncio.Semaphore(_READS_AT_ONCE)

    def known(self, plan: ArchivePlan, index: int) -> int | None:
        """The CRC-32 of a member, if nothing has to be read for it."""
        known = plan.known_sums[index]
        if known is None:
            known = self._checksums.known(plan.table.state(index))
            if known is not None:
                plan.known_sums[index] = known
        return known

    def add(self, state: FileState, part: PartialSum) -> None:
        """Remember the sum of a part that was read in this state."""
        self._checksums.add(state, part)

    async def crc32(self, storage: LocalStorage, plan: ArchivePlan, index: int) -> int:
        """The CRC-32 of a member; what was not sent by anybody is read for it.

        Reading that has begun goes on when the client leaves: a client that comes again, because
        it got nothing for too long, shall not find the work undone.  Raises TransferCut and
        StorageErrors.
        """
        known = self.known(plan, index)
        if known is None:
            known = await self._wait_for(storage, plan.member_name(index), plan.table.state(index))
            plan.known_sums[index] = known
        return known

    async def _wait_for(self, storage: LocalStorage, name: Name, state: FileState) -> int:
        reading = self._readings.get(state)
        if reading is None:
            task = asyncio.create_task(self._read(storage, name, state))
            reading = self._readings[state] = _Reading(task)
            task.add_done_callback(partial(self._ended, state, reading))
        reading.waiting += 1
        try:
            return await asyncio.shield(reading.task)
        finally:
            reading.waiting -= 1
            if not reading.waiting and state not in self._begun:
                self._forget(state, reading)
                reading.task.cancel()

    async def sum_part(self, blob: Blob, state: FileState, start: int, stop: int) -> None:
        """Learn the CRC-32 of the bytes [start, stop) of a file that is in this state.

        Raises TransferCut when it is not, and StorageErrors.
        """
        for gap_start, gap_stop in self._checksums.missing(state, start, stop):
            await self._learn(blob, state, gap_start, gap_stop)

    async def _learn(self, blob: Blob, state: FileState, start: int, stop: int) -> PartialSum:
        crc32 = await blob.run(partial(_sum_in_state, state, start, stop))
        if crc32 is None:
            raise changed()
        part = PartialSum(start, stop, crc32)
        self.add(state, part)
        return part

    async def _read(self, storage: LocalStorage, name: Name, state: FileState) -> int:
        blob = await storage.open(name)
        try:
            # A slow mount must not keep those waiting whose files lie elsewhere.
            async with self._turns if blob.zero_copy else self._slow_turns:
                self._begun.add(state)
                so_far = PartialSum(0, 0, 0)
                while so_far.stop < state.fingerprint.size:
                    so_far = await self._further(blob, state, so_far)
        finally:
            self._begun.discard(state)
            await blob.close()
        return so_far.crc32

    async def _further(self, blob: Blob, state: FileState, so_far: PartialSum) -> PartialSum:
        """A longer sum from the file's begin, by what is known or read now.

        What was known a moment ago may be forgotten by now: so_far counts on nothing.
        """
        known = self._checksums.beginning_at(state, 0)
        if known is not None and known.stop > so_far.stop:
            return known
        next_part = self._checksums.beginning_at(state, so_far.stop)
        if next_part is None:
            step = WINDOW_BYTES if blob.zero_copy else _SLOW_WINDOW_BYTES
            start, stop = so_far.stop, min(so_far.stop + step, state.fingerprint.size)
            gap = next(iter(self._checksums.missing(state, start, stop)), None)
            if gap is not None and gap[0] == start:
                stop = gap[1]
            next_part = await self._learn(blob, state, start, stop)
        return joined(so_far, next_part)

    def _ended(self, state: FileState, reading: _Reading, task: asyncio.Task[int]) -> None:
        self._forget(state, reading)
        if not task.cancelled():
            task.exception()  # whoever waited has it; all may be gone

    def _forget(self, state: FileState, reading: _Reading) -> None:
        if self._readings.get(state) is reading:
            del self._readings[state]


def changed() -> TransferCut:
    """The end of an archive whose member is not what it was."""
    return TransferCut(EndCause.CHANGED, "a member of the archive changed")


def _sum_in_state(state: FileState, start: int, stop: int, fileno: int) -> int | None:
    """None if the file is not in the state, also if somebody writes while it is read."""
    total = read_crc32(fileno, start, stop)
    return total if FileState.of(os.fstat(fileno)) == state else None
