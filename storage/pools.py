"""Bounded pools: calls that may hang run in one, with a deadline and a circuit breaker.

One pool per mount, so a mount that hangs occupies its own threads and nobody else's.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import TypeVar

from storage.errors import Unavailable
from storage.executor import DaemonExecutor

T = TypeVar("T")

TIMEOUTS_UNTIL_OPEN = 3
PROBE_PAUSE_SECONDS = 5.0


class Breaker:
    """Refuses calls after three timeouts in a row, and lets a single one probe after each pause.

    Times are monotonic seconds, given by the caller.
    """

    def __init__(self, pause_seconds: float) -> None:
        self._pause_seconds = pause_seconds
        self._timeouts = 0
        self._opened_at = 0.0
        self._probe_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for probes."""
        return self._timeouts >= TIMEOUTS_UNTIL_OPEN

    def seconds_until_admission(self, now: float, last_answer_at: float, patience: float) -> float:
        """0.0 if a call may be made now: it is then the probe if the breaker is open.

        last_answer_at: when the last call ended, also one that nobody waited for any more;
        patience: how long a probe may take before another one is allowed.
        """
        if not self.is_open:
            return 0.0
        if last_answer_at > self._opened_at:
            self.record_answer()
            return 0.0
        next_probe_at = max(self._opened_at + self._pause_seconds, self._probe_until)
        if now < next_probe_at:
            return next_probe_at - now
        self._probe_until = now + patience
        return 0.0

    def record_answer(self) -> None:
        """The mount answered: all is well."""
        self._timeouts = 0
        self._probe_until = 0.0

    def record_timeout(self, now: float) -> None:
        """A call took longer than its deadline."""
        self._timeouts += 1
        self._opened_at = now
        self._probe_until = 0.0


@dataclass(frozen=True, slots=True)
class PoolState:
    """A pool for reports; is_answering: the breaker is closed."""

    label: str
    is_answering: bool
    stuck_threads: int


class BoundedPool:
    """Runs calls in at most `threads` daemon threads of its own.

    label names the mount in messages.  deadline_seconds None: wait for ever, for pools whose
    calls always end.  Makes no thread before the first call; all but `executor` is for the
    event loop's thread.
    """

    def __init__(
        self,
        label: str,
        *,
        threads: int,
        deadline_seconds: float | None,
        probe_pause_seconds: float = PROBE_PAUSE_SECONDS,
    ) -> None:
        self.label = label
        self.executor = DaemonExecutor(label, threads)
        self._deadline_seconds = deadline_seconds
        self._pause_seconds = probe_pause_seconds
        self._breaker = Breaker(probe_pause_seconds)

    async def run(self, call: Callable[[], T], *, discard: Callable[[T], None] | None = None) -> T:
        """The result of call, made in one of the threads.

        Raises what call raises, and Unavailable when the deadline passes, when too much is
        waiting or while the breaker is open.  A result that comes too late, or for a task that
        was cancelled, is given to discard in a thread of the pool.
        """

        async def start() -> T:
            future = self.executor.submit(call)
            try:
                return await asyncio.wrap_future(future)
            except asyncio.CancelledError:
                if discard is not None and not future.cancel():
                    self._discard_late(future, discard)
                raise

        return await self.supervise(start)

    async def supervise(self, start: Callable[[], Awaitable[T]]) -> T:
        """The result of what start begins on this pool's executor, under deadline and breaker."""
        self._refuse_while_open()
        deadline = asyncio.timeout(self._deadline_seconds)
        try:
            async with deadline:
                result = await start()
        except TimeoutError:  # also OSError(ETIMEDOUT), which is an answer
            if not deadline.expired():
                self._breaker.record_answer()
                raise
            self._breaker.record_timeout(time.monotonic())
            raise Unavailable(
                f"{self.label}: no answer within {self._deadline_seconds:g} seconds",
                ceil(self._pause_seconds),
            ) from None
        except Unavailable:  # refused by the queue: nothing was asked
            raise
        except Exception:
            self._breaker.record_answer()
            raise
        self._breaker.record_answer()
        return result

    def state(self) -> PoolState:
        """How the pool is now."""
        patience = self._deadline_seconds
        stuck = 0 if patience is None else self.executor.stuck_threads(patience)
        return PoolState(self.label, not self._breaker.is_open, stuck)

    def _refuse_while_open(self) -> None:
        seconds = self._breaker.seconds_until_admission(
            time.monotonic(), self.executor.last_answer_at, self._deadline_seconds or 0.0
        )
        if seconds > 0.0:
            raise Unavailable(f"{self.label}: does not answer", ceil(seconds))

    def _discard_late(self, future: Future[T], discard: Callable[[T], None]) -> None:
        def dispose(done: Future[T]) -> None:
            if not done.cancelled() and done.exception() is None:
                result = done.result()
                # The future may be done already: then this runs on the event loop.
                self.executor.dispose(lambda: discard(result))

        future.add_done_callback(dispose)


@cache
def local_pool() -> BoundedPool:
    """The process's threads for local folders and for freeing big deleted files."""
    return BoundedPool("local folders", threads=4, deadline_seconds=30.0)


@cache
def writing_pool() -> BoundedPool:
    """The process's threads for writing to the root's own local mount: a disk ends each call."""
    return BoundedPool("uploads", threads=8, deadline_seconds=None)


def call_within(seconds: float, call: Callable[[], T], discard: Callable[[T], None]) -> T:
    """The result of call, made in a thread that is left behind when it takes longer.

    For start-up, where no event loop runs.  Raises what call raises, and Unavailable; a result
    that comes too late is given to discard in that thread.
    """
    future: Future[T] = Future()
    lock = threading.Lock()
    is_awaited = True

    def work() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - raised again by result() below
            future.set_exception(error)
            return
        with lock:
            if is_awaited:
                future.set_result(result)
                return
        discard(result)

    threading.Thread(target=work, name="storage start", daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        with lock:
            if future.done():
                return future.result()
            is_awaited = False
        raise Unavailable(f"no answer within {seconds:g} seconds") from None
