"""What a worker process tells its parent: records through a pipe.

A record is far below PIPE_BUF, so the kernel never tears one (pipe(7)).
"""

import os
import signal
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from fileserve.operations.shutdown import Drained, Load

_RECORD = struct.Struct("!BII")
_READ_BYTES = _RECORD.size * 1024


class Kind(IntEnum):
    """What a record says; it names the method of shutdown.Events that wrote it."""

    READY = 1
    ALIVE = 2
    CLOSED = 3
    DRAINED = 4


@dataclass(frozen=True, slots=True)
class Report:
    """One record; the numbers are those of a Load, or of a Drained."""

    kind: Kind
    first: int
    second: int


class Reporter:
    """A worker's end of the pipe, in the place of shutdown.Events."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def ready(self) -> None:
        self._send(Kind.READY, 0, 0)

    def alive(self, load: Load) -> None:
        self._send(Kind.ALIVE, load.transfers, load.connections)

    def closed(self, load: Load) -> None:
        self._send(Kind.CLOSED, load.transfers, load.connections)

    def drained(self, drained: Drained) -> None:
        self._send(Kind.DRAINED, drained.finished, drained.cut)

    def _send(self, kind: Kind, first: int, second: int) -> None:
        try:
            os.write(self._descriptor, _RECORD.pack(kind, first, second))
        except BlockingIOError:
            return  # a parent that does not read, in a debugger: a later record will do
        except BrokenPipeError:
            # The parent was killed, so nobody else will ever end this worker.
            signal.raise_signal(signal.SIGTERM)


def read_reports(descriptor: int) -> Iterator[Report]:
    """The reports that have arrived; none when there is nothing to read or the worker is gone."""
    os.set_blocking(descriptor, False)
    try:
        received = os.read(descriptor, _READ_BYTES)
    except BlockingIOError:
        return
    for kind, first, second in _RECORD.iter_unpack(received):
        yield Report(Kind(kind), first, second)
