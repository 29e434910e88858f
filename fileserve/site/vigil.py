"""Watches over a long answer: the client may leave, and the service may stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

from starlette.types import Receive

from fileserve.delivery.outcomes import EndCause, TransferCut

# A reader who is taking what was sent already has so long when the service stops.
STOP_SECONDS = 1.0

T = TypeVar("T")


class Vigil:
    """Waits for whatever ends an answer from outside."""

    def __init__(self, gone: asyncio.Future[None], stopped: asyncio.Future[None]) -> None:
        self._gone = gone
        self._stopped = stopped

    async def pause(self, seconds: float) -> None:
        """Return after seconds; raises TransferCut at once with the cause when it is over."""
        ends = (self._gone, self._stopped)
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        self.check()

    async def over(self, work: Coroutine[None, None, T]) -> T:
        """The result of work; cancels work when it is over.  Raises as during does."""
        return await self.during(work, _nothing, None)

    async def during(
        self,
        work: Coroutine[None, None, T],
        beat: Callable[[], Awaitable[None]],
        seconds: float | None,
    ) -> T:
        """The result of work, with a beat every so many seconds; cancels work when it is over.

        Raises what work raises, and TransferCut.
        """
        task = asyncio.ensure_future(work)
        ends = (self._gone, self._stopped, task)
        try:
            while True:
                await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
                if task.done():
                    return task.result()
                self.check()
                await beat()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
                # Nobody needs what it raised instead.
                _ = task.cancelled() or task.exception()

    def check(self) -> None:
        """Raise TransferCut when it is over."""
        if self._gone.done():
            raise TransferCut(EndCause.CLIENT_GONE)
        if self._stopped.done():
            raise TransferCut(EndCause.SHUTDOWN)


@asynccontextmanager
async def vigil_over(
    receive: Receive, stopping: asyncio.Event | None = None
) -> AsyncIterator[Vigil]:
    """A Vigil for the time of the block; stopping is set when the service stops.

    Without stopping only the client is watched.  A block that is stuck when it is set, with a
    client that takes nothing, ends with TransferCut soon.
    """
    loop = asyncio.get_running_loop()
    gone = asyncio.ensure_future(_until_disconnected(receive))
    stopped = asyncio.ensure_future(_until_set(stopping or asyncio.Event()))
    limit = asyncio.timeout(None)
    has_ended = False

    def hurry(ended: asyncio.Future[None]) -> None:
        # It may be on its way already when the block ends by itself.
        if not has_ended and not ended.cancelled():
            limit.reschedule(loop.time() + STOP_SECONDS)

    try:
        async with limit:
            stopped.add_done_callback(hurry)
            try:
                yield Vigil(gone, stopped)
            finally:
                has_ended = True
    except TimeoutError:
        if not limit.expired():
            raise
        raise TransferCut(EndCause.SHUTDOWN) from None
    finally:
        stopped.remove_done_callback(hurry)
        gone.cancel()
        stopped.cancel()
        await asyncio.wait([gone, stopped])


async def _nothing() -> None:
    pass


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _until_set(event: asyncio.Event) -> None:
    await event.wait()
