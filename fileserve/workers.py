"""Several processes serve one folder: a parent starts them, replaces the crashed, ends them all.

The parent has neither threads nor a loop, so that it can fork at any time.  It never waits for a
worker without a limit: a process that hangs on a dead mount does not even die of SIGKILL.
"""

import gc
import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from types import FrameType

from fileserve.listening import Listeners
from fileserve.operations.shutdown import (
    FAREWELL_SECONDS,
    HEARTBEAT_SECONDS,
    Drained,
    Events,
    ExitCode,
    Load,
)
from fileserve.operations.worker_process import STOP_NOW_SIGNAL, STOP_SIGNAL, Step, Worker
from fileserve.operations.worker_reports import Reporter

logger = logging.getLogger("fileserve.server")

# A loop this long without a sign of life will not come back.
SILENCE_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.5
# Meanwhile the connections that the kernel deals to this worker wait.
LONGEST_PAUSE_SECONDS = 5.0
# A worker that lived this long had no trouble at its start: the next pause is the first again.
SETTLED_SECONDS = 60.0
# A worker closes its listener within milliseconds, unless it is stuck.
CLOSING_SECONDS = 0.5
TURN_SECONDS = 1.0
# A longer turn means that the parent itself was stopped, and its workers perhaps with it.
LONGEST_TURN_SECONDS = 5.0


class Stage(Enum):
    """How far the service is, all workers together."""

    STARTING = "starting"
    SERVING = "serving"
    CLOSING = "closing"
    """Told to stop; not every worker has closed its listener yet."""
    DRAINING = "draining"


@dataclass(slots=True)
class Slot:
    """A place for one worker: who fills it now, or when the next one starts."""

    listeners: Listeners
    worker: Worker | None = None
    failures: int = 0
    start_at: float = 0.0


class Supervisor:
    """Keeps one process in run_worker for each of listeners, until a signal ends the service."""

    def __init__(
        self,
        *,
        run_worker: Callable[[Listeners, Events], ExitCode],
        listeners: Sequence[Listeners],
        drain_seconds: float,
        events: Events,
    ) -> None:
        self._run_worker = run_worker
        self._drain_seconds = drain_seconds
        self._events = events
        self._slots = [Slot(each) for each in listeners]
        self._stage = Stage.STARTING
        self._closing_ends = self._draining_ends = float("inf")
        self._last_turn = time.monotonic()
        self._last_beat = float("-inf")
        self._given_up: list[Worker] = []
        self._endings: list[Drained] = []
        self._signals: list[signal.Signals] = []
        self._exit_code = ExitCode.DONE
        # poll(2) leaves nothing in the kernel that a child would share.
        self._selector = selectors.PollSelector()
        self._wake_receiver, self._wake_sender = socket.socketpair()

    def run(self) -> ExitCode:
        """Starts the workers and returns when the service has ended; closes the listeners.

        The signal handlers stay with the parent: what follows is the end of the process.
        """
        self._catch_signals()
        gc.freeze()  # What is loaded now stays shared: no collector of a child writes into it.
        while self._is_wanted() or (self._workers() and time.monotonic() < self._draining_ends):
            self._start_due_workers()
            self._hear()
            self._obey_signals()
            self._bury_the_ended()
            self._replace_the_silent()
            self._proceed()
        self._kill_the_rest()
        self._close_listeners()
        finished = sum(ending.finished for ending in self._endings)
        self._events.drained(Drained(finished, sum(ending.cut for ending in self._endings)))
        return self._exit_code

    def _workers(self) -> list[Worker]:
        return [slot.worker for slot in self._slots if slot.worker is not None]

    def _is_wanted(self) -> bool:
        return self._stage in (Stage.STARTING, Stage.SERVING)

    def _load(self) -> Load:
        loads = [worker.load for worker in self._workers()]
        transfers = sum(load.transfers for load in loads)
        return Load(transfers, sum(load.connections for load in loads))

    # Signals

    def _catch_signals(self) -> None:
        for end in (self._wake_receiver, self._wake_sender):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_sender.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)
        # Only so that it wakes the parent up: who has ended is asked of waitpid.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(signal.Signals(number))

    def _obey_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if not self._is_wanted():
                self._tell_workers(STOP_NOW_SIGNAL)
                self._draining_ends = time.monotonic() + FAREWELL_SECONDS
                continue
            if self._stage is Stage.STARTING and number is signal.SIGINT:
                self._exit_code = ExitCode.INTERRUPTED
            self._stop()

    def _stop(self) -> None:
        now = time.monotonic()
        self._stage = Stage.CLOSING
        self._closing_ends = now + CLOSING_SECONDS
        self._draining_ends = now + self._drain_seconds + FAREWELL_SECONDS
        self._tell_workers(STOP_SIGNAL)

    def _tell_workers(self, number: signal.Signals) -> None:
        for worker in self._workers():
            worker.tell(number)

    # One turn

    def _start_due_workers(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if self._is_wanted() and slot.worker is None and slot.start_at <= now:
                self._fill(slot)

    def _fill(self, slot: Slot) -> None:
        parents_only = [self._wake_receiver.fileno(), self._wake_sender.fileno()]
        parents_only += [worker.descriptor for worker in self._workers()]
        try:
            slot.worker = Worker.fork(partial(self._live, slot), parents_only)
        except OSError as error:
            logger.error("cannot start a worker: %s", error.strerror)
            self._pause(slot, lived_seconds=0.0)
            return
        self._selector.register(slot.worker.descriptor, selectors.EVENT_READ, slot.worker)

    def _live(self, slot: Slot, reporter: Reporter) -> ExitCode:
        """The work of the process in slot, in that process."""
        for other in self._slots:
            if other.listeners is not slot.listeners:
                other.listeners.close()
        return self._run_worker(slot.listeners, reporter)

    def _hear(self) -> None:
        """Sleeps until something happens, at most one turn, and takes in what workers say."""
        for key, _ in self._selector.select(self._sleep_seconds()):
            if isinstance(key.data, Worker):
                key.data.hear()
            else:
                self._wake_receiver.recv(4096)
        now = time.monotonic()
        if now - self._last_turn > LONGEST_TURN_SECONDS:
            for worker in self._workers():
                worker.last_heard = now
        self._last_turn = now

    def _sleep_seconds(self) -> float:
        due = [slot.start_at for slot in self._slots if slot.worker is None and self._is_wanted()]
        closing = [self._closing_ends] if self._stage is Stage.CLOSING else []
        next_event = min([*due, *closing, self._draining_ends])
        return max(min(next_event - time.monotonic(), TURN_SECONDS), 0.0)

    def _bury_the_ended(self) -> None:
        self._given_up = [worker for worker in self._given_up if worker.ending() is None]
        for slot in self._slots:
            worker = slot.worker
            if worker is None or (how := worker.ending()) is None:
                continue
            self._vacate(slot, worker)
            if self._is_wanted():
                self._mourn(slot, worker, how)
            else:
                # One that crashed has cut what it was sending.
                self._endings.append(worker.drained or Drained(0, worker.load.transfers))

    def _mourn(self, slot: Slot, worker: Worker, how: str) -> None:
        """Plans the successor of a worker that ended unasked, or gives the service up."""
        if self._stage is Stage.STARTING:
            logger.error("worker %d ended %s before it was ready", worker.process_id, how)
            self._exit_code = ExitCode.FAILED
            self._stop()
            return
        self._pause(slot, time.monotonic() - worker.started)
        pause = slot.start_at - time.monotonic()
        logger.error("worker %d ended %s; another starts in %.1f s", worker.process_id, how, pause)

    def _pause(self, slot: Slot, lived_seconds: float) -> None:
        slot.failures = 1 if lived_seconds >= SETTLED_SECONDS else slot.failures + 1
        slot.start_at = time.monotonic() + pause_seconds(slot.failures)

    def _vacate(self, slot: Slot, worker: Worker) -> None:
        self._selector.unregister(worker.descriptor)
        worker.close()
        slot.worker = None

    def _replace_the_silent(self) -> None:
        now = time.monotonic()
        for slot in self._slots if self._is_wanted() else []:
            worker = slot.worker
            if worker is not None and now - worker.last_heard > SILENCE_SECONDS:
                logger.error("worker %d hangs and is replaced", worker.process_id)
                worker.tell(signal.SIGKILL)
                self._given_up.append(worker)
                self._vacate(slot, worker)
                self._pause(slot, now - worker.started)

    def _proceed(self) -> None:
        """Enters the next stage when every worker has reached it, and reports the present one."""
        steps = {worker.step for worker in self._workers()}
        full = len(self._workers()) == len(self._slots)
        if self._stage is Stage.STARTING and full and steps == {Step.SERVING}:
            self._stage = Stage.SERVING
            self._events.ready()
        has_closed = steps <= {Step.CLOSED} or time.monotonic() >= self._closing_ends
        if self._stage is Stage.CLOSING and has_closed:
            self._stage = Stage.DRAINING
            self._close_listeners()
            self._events.closed(self._load())
        now = time.monotonic()
        if self._stage is not Stage.STARTING and now - self._last_beat >= HEARTBEAT_SECONDS:
            self._last_beat = now
            self._events.alive(self._load())

    def _close_listeners(self) -> None:
        for slot in self._slots:
            slot.listeners.silence()
            slot.listeners.close()

    def _kill_the_rest(self) -> None:
        for slot in self._slots:
            if (worker := slot.worker) is not None:
                logger.warning("worker %d hangs and is left behind", worker.process_id)
                worker.tell(signal.SIGKILL)
                self._endings.append(Drained(0, worker.load.transfers))


def pause_seconds(failures: int) -> float:
    """How long to wait before the next start after so many failures in a row (at least one)."""
    doublings = min(failures - 1, 16)  # the bound holds long before
    return min(FIRST_PAUSE_SECONDS * (1 << doublings), LONGEST_PAUSE_SECONDS)
