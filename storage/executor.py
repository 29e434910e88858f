"""An executor whose threads never hold up anybody: not the interpreter's exit, not a fork.

concurrent.futures' own pool joins its threads at exit, so one read on a hung mount keeps the
process for ever.  These threads are daemons, nothing joins them, and they leave by themselves
when there is no work.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import ParamSpec, TypeVar

from storage.errors import StorageError, Unavailable

P = ParamSpec("P")
T = TypeVar("T")

IDLE_SECONDS = 10.0
# Work that waits for one thread at most; more is refused, so a hung mount piles up nothing.
QUEUE_PER_THREAD = 64


@dataclass(slots=True)
class _Crew:
    """The threads and the work of one process; a fork leaves the parent's behind."""

    process: int
    changed: threading.Condition
    waiting: deque[Callable[[], None]]
    started: dict[int, float]  # thread ident -> monotonic time at which its call began
    threads: int = 0
    idle: int = 0
    last_answer_at: float = float("-inf")


class DaemonExecutor(Executor):
    """At most `threads` daemon threads, started at need, and a bounded queue before them."""

    def __init__(self, label: str, threads: int) -> None:
        self._label = label
        self._max_threads = threads
        self._crew = self._new_crew()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run fn in a thread; raises Unavailable when too much is waiting already."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)

        crew = self._own_crew()
        with crew.changed:
            if len(crew.waiting) >= self._max_threads * QUEUE_PER_THREAD:
                raise Unavailable(f"{self._label}: too many requests are waiting for it")
            self._enqueue(crew, work)
        return future

    def dispose(self, call: Callable[[], None]) -> None:
        """Run call when a thread is free; never refused, nobody waits for it, for closing things.

        What the disk says is lost: the kernel has let go of a descriptor also when close(2) fails.
        """

        def work() -> None:
            try:
                call()
            except (OSError, StorageError):
                return

        crew = self._own_crew()
        with crew.changed:
            self._enqueue(crew, work)

    @property
    def last_answer_at(self) -> float:
        """The monotonic time when a call last ended, well or not."""
        return self._own_crew().last_answer_at

    def stuck_threads(self, seconds: float) -> int:
        """How many threads have been busy with one call for longer than seconds."""
        crew = self._own_crew()
        with crew.changed:
            began_before = time.monotonic() - seconds
            return sum(start < began_before for start in crew.started.values())

    def _new_crew(self) -> _Crew:
        return _Crew(os.getpid(), threading.Condition(), deque(), {})

    def _own_crew(self) -> _Crew:
        if self._crew.process != os.getpid():
            self._crew = self._new_crew()
        return self._crew

    def _enqueue(self, crew: _Crew, work: Callable[[], None]) -> None:
        crew.waiting.append(work)
        if len(crew.waiting) > crew.idle and crew.threads < self._max_threads:
            crew.threads += 1
            run = partial(_serve, crew)
            threading.Thread(target=run, name=f"storage {self._label}", daemon=True).start()
        else:
            crew.changed.notify()


def _serve(crew: _Crew) -> None:
    """What one thread does: call after call until there is none for a while."""
    me = threading.get_ident()
    while (work := _next_work(crew)) is not None:
        work()
        del work  # a result must not live until the next call
        with crew.changed:
            del crew.started[me]
            crew.last_answer_at = time.monotonic()


def _next_work(crew: _Crew) -> Callable[[], None] | None:
    with crew.changed:
        while not crew.waiting:
            crew.idle += 1
            was_called = crew.changed.wait(IDLE_SECONDS)
            crew.idle -= 1
            if not was_called and not crew.waiting:
                crew.threads -= 1
                return None
        crew.started[threading.get_ident()] = time.monotonic()
        return crew.waiting.popleft()
