"""One worker process, as its parent sees it: forked, heard, told, reaped."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn, Self

from fileserve.operations.shutdown import Drained, ExitCode, Load, leave
from fileserve.operations.worker_reports import Kind, Report, Reporter, read_reports

logger = logging.getLogger("fileserve.server")

# What a worker obeys.  It ignores SIGINT, which a terminal sends to the whole process group: the
# parent alone decides what a second Ctrl-C means.
STOP_SIGNAL = signal.SIGTERM
STOP_NOW_SIGNAL = signal.SIGQUIT
# Held back around fork, so that a signal finds the child with handlers of its own and not with
# copies of the parent's, which would swallow it.
_HELD_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


IDLE = Load(0, 0)


class Step(Enum):
    """How far a worker is, by its own word."""

    STARTING = "starting"
    SERVING = "serving"
    CLOSED = "closed"
    """Its listening sockets are closed."""


@dataclass(slots=True)
class Worker:
    """A child process that has not been reaped, and the parent's end of its pipe."""

    process_id: int
    descriptor: int
    started: float
    last_heard: float
    step: Step = Step.STARTING
    load: Load = IDLE
    drained: Drained | None = None

    @classmethod
    def fork(cls, run: Callable[[Reporter], ExitCode], parents_only: Iterable[int]) -> Self:
        """Starts a process for run; it closes the descriptors that are parents_only.

        Raises OSError when the system has no room for one more.
        """
        receiver, sender = os.pipe()
        held = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_SIGNALS)
        try:
            process_id = os.fork()
            if process_id == 0:
                _live(run, Reporter(sender), held, [receiver, *parents_only])
        except OSError:
            os.close(receiver)
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            os.close(sender)
        now = time.monotonic()
        return cls(process_id, receiver, started=now, last_heard=now)

    def hear(self) -> None:
        """Takes in what the worker has reported; never waits."""
        for report in read_reports(self.descriptor):
            self.last_heard = time.monotonic()
            self._take(report)

    def _take(self, report: Report) -> None:
        match report.kind:
            case Kind.READY:
                self.step = Step.SERVING
            case Kind.ALIVE:
                self.load = Load(report.first, report.second)
            case Kind.CLOSED:
                self.step = Step.CLOSED
                self.load = Load(report.first, report.second)
            case Kind.DRAINED:
                self.drained = Drained(report.first, report.second)

    def tell(self, number: signal.Signals) -> None:
        """Sends a signal; safe, since a process keeps its number until it is reaped."""
        os.kill(self.process_id, number)

    def close(self) -> None:
        """Hears no more of it."""
        os.close(self.descriptor)

    def ending(self) -> str | None:
        """How the process ended, None while it has not; never waits.  Ask no more after that.

        One whose thread hangs on a dead mount has not ended even after SIGKILL.
        """
        process_id, status = os.waitpid(self.process_id, os.WNOHANG)
        if process_id == 0:
            return None
        code = os.waitstatus_to_exitcode(status)
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _live(
    run: Callable[[Reporter], ExitCode],
    reporter: Reporter,
    mask: set[int | signal.Signals],
    parents_only: Iterable[int],
) -> NoReturn:
    """The child's whole life: it never returns into the code of its parent."""
    code = ExitCode.FAILED
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for number in (STOP_SIGNAL, STOP_NOW_SIGNAL, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for descriptor in parents_only:
            os.close(descriptor)
        code = run(reporter)
    except BaseException:
        logger.exception("worker %d failed", os.getpid())
    finally:
        leave(code)
