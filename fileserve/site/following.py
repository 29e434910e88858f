"""Sends a file as it grows, until its writer stops, its reader leaves or the service ends.

Growth is looked for by asking, four times a second while the file grows and once a second while it
does not.  inotify would tell sooner, but nothing on a network mount, and a user has few watches of
it; a look at a local file takes 20 microseconds.
"""

import asyncio
from dataclasses import dataclass

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.follow_sinks import Ending, Sink
from fileserve.site.vigil import Vigil
from storage.blob import Blob
from storage.errors import Overloaded, StorageError
from storage.growing import Fate, Opens, Sight, look_again
from storage.names import Name

SHORTEST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class FollowLimits:
    """idle_seconds without growth end a stream; heartbeats go to readers of events."""

    idle_seconds: float
    heartbeat_seconds: float = 15.0


class Follower:
    """One reader of one file."""

    def __init__(
        self, storage: Opens, name: Name, blob: Blob, sink: Sink, limits: FollowLimits
    ) -> None:
        self._storage = storage
        self._name = name
        self._blob = blob
        self._sink = sink
        self._limits = limits
        self._now = asyncio.get_running_loop().time
        self._sent_at = self._grew_at = self._now()

    async def run(self, vigil: Vigil) -> None:
        """Send until the end, and tell it; raises TransferCut where that is an end in the air."""
        await self._sink.begin()
        try:
            ending = await self._follow(vigil)
        except TransferCut as cut:
            if cut.cause is not EndCause.SHUTDOWN:
                raise
            await self._sink.interrupt()
        else:
            await self._sink.finish(ending)

    async def _follow(self, vigil: Vigil) -> Ending:
        pause = SHORTEST_PAUSE_SECONDS
        while True:
            sight = await self._look()
            has_grown = await self._send_up_to(sight.size, vigil)
            ending = self._ending(sight)
            if ending is not None:
                return ending
            pause = SHORTEST_PAUSE_SECONDS if has_grown else min(pause * 1.5, LONGEST_PAUSE_SECONDS)
            await self._beat_if_due()
            await vigil.pause(pause)

    async def _look(self) -> Sight:
        try:
            return await look_again(self._storage, self._name, self._blob)
        except Overloaded:
            # No descriptor is left at the moment: no news.
            return Sight(Fate.HERE, self._sink.offset)
        except StorageError as error:
            raise TransferCut(EndCause.UNAVAILABLE, str(error)) from error

    async def _send_up_to(self, size: int | None, vigil: Vigil) -> bool:
        """Send all there is, of a file that lost its name (None) what was still written to it."""
        has_grown = False
        while await self._sink.take(size):
            has_grown = True
            self._sent_at = self._grew_at = self._now()
            vigil.check()
        return has_grown

    def _ending(self, sight: Sight) -> Ending | None:
        match sight.fate:
            case Fate.REPLACED:
                return Ending.REPLACED
            case Fate.DELETED:
                return Ending.DELETED
        if sight.size is not None and sight.size < self._sink.offset:
            return Ending.TRUNCATED
        is_idle = self._now() - self._grew_at >= self._limits.idle_seconds
        return Ending.IDLE if is_idle else None

    async def _beat_if_due(self) -> None:
        if self._now() - self._sent_at >= self._limits.heartbeat_seconds:
            await self._sink.beat()
            self._sent_at = self._now()
