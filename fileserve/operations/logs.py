"""The log, which never waits for a disk, a pipe or a terminal.

Lines, of messages and of transfers that ended, go into a bounded queue, a thread writes them.
Lines that find the queue full are counted, and the count is written.
"""

import json
import logging
import queue
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, Self, TextIO

from fileserve.operations.access_line import access_members, access_text
from fileserve.operations.transfers import Transfer
from fileserve.standard_streams import takes_a_line, write_past_buffers

LogFormat = Literal["text", "json"]

# uvicorn tells of its start and stop at INFO, which we say in our own words.
_LEVELS = {"fileserve": logging.INFO, "uvicorn": logging.WARNING, "asyncio": logging.WARNING}
# It would say everything twice.
_SILENCED = "uvicorn.access"
ACCESS_LOGGER = "fileserve.access"
_access_log = logging.getLogger(ACCESS_LOGGER)

_QUEUED_LINES = 20_000
# Long enough to spare wake-ups, short enough for somebody who watches.
_GATHERING_SECONDS = 0.1
# How long the end of the process waits for lines that nobody reads.
_CLOSING_SECONDS = 1.0

_ACCESS_RECORD = logging.LogRecord(ACCESS_LOGGER, logging.INFO, "", 0, "", None, None).__dict__


class AccessRecord(logging.LogRecord):
    """The log record of a transfer that ended."""

    def __init__(self, transfer: Transfer) -> None:
        # One copy instead of some thirty assignments: a record is made for each small range.
        self.__dict__ = _ACCESS_RECORD.copy()
        self.created = time.time()
        self.transfer = transfer

    def getMessage(self) -> str:  # noqa: N802 - logging's own name
        return access_text(self.transfer)


def log_access(transfer: Transfer) -> None:
    """Write the access line of a transfer that has ended."""
    if not _access_log.isEnabledFor(logging.INFO):
        return
    handlers = _access_log.handlers
    if len(handlers) == 1 and isinstance(handlers[0], QueuedHandler) and not _access_log.filters:
        handlers[0].write_access(transfer)
    else:
        # Without Logger.info: it walks the stack for a file name that says nothing here.
        _access_log.handle(AccessRecord(transfer))


class TextFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z INFO message`."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{_timestamp(record)} {record.levelname} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class JsonFormatter(logging.Formatter):
    """One JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        members: dict[str, str | int | float | None] = {
            "time": _timestamp(record),
            "level": record.levelname,
            "logger": record.name,
        }
        if isinstance(record, AccessRecord):
            members |= access_members(record.transfer)
        else:
            members["message"] = record.getMessage()
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members)


class QueuedHandler(logging.Handler):
    """Hands lines to a thread that writes them in batches; never waits for it.

    A thread woken for each line, or one that formats, fights the event loop for the interpreter:
    5,600 small ranges in a second instead of 9,300, or pauses of 140 ms (2026-11, 2 cores).  So
    lines are formatted at once, and the thread only gathers and writes them.
    Takes ownership of target.  The thread starts here, so make it after the process has forked.
    """

    def __init__(self, target: "logging.StreamHandler[TextIO]") -> None:
        super().__init__()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.dropped_lines = 0
        self._reported_lines = 0
        self._is_closed = False
        self._target = target
        self._writes_text = isinstance(target.formatter, TextFormatter)
        self._thread = threading.Thread(target=self._write, name="log-writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Called under the handler's lock, which makes the count right."""
        if self._lines.qsize() >= _QUEUED_LINES:
            self.dropped_lines += 1
            return
        try:
            self._lines.put(self._target.format(record))
        except Exception:  # noqa: BLE001 - a faulty log call must not fail what it tells of
            self.handleError(record)

    def write_access(self, transfer: Transfer) -> None:
        """As handle, on the event loop's thread: half the cost, for each small range.

        What it leaves out are the record, the locks and the levels of logging; the queue is safe
        by itself.
        """
        if self._lines.qsize() >= _QUEUED_LINES:
            self.dropped_lines += 1
        elif self._writes_text:
            now = time.time()
            self._lines.put(f"{_time_text(now)} INFO {access_text(transfer)}")
        else:
            self._lines.put(self._target.format(AccessRecord(transfer)))

    def close(self) -> None:
        """Let the thread write what is queued, for a second at most: nobody may read it."""
        super().close()
        if self._is_closed:
            return
        self._is_closed = True
        self._lines.put(None)
        self._thread.join(_CLOSING_SECONDS)
        if not self._thread.is_alive():
            self._target.close()

    def _write(self) -> None:
        is_open = True
        while is_open:
            first = self._lines.get()
            if first is not None:
                time.sleep(_GATHERING_SECONDS)
            lines = [first]
            while not self._lines.empty():
                lines.append(self._lines.get())
            is_open = None not in lines
            self._write_batch([line for line in lines if line is not None])

    def _write_batch(self, lines: list[str]) -> None:
        dropped = self.dropped_lines - self._reported_lines
        if dropped:
            self._reported_lines += dropped
            warning = _warning(f"{dropped} log lines were dropped")
            lines.append(self._target.format(warning))
        try:
            write_past_buffers(self._target.stream, "\n".join((*lines, "")))
        except (OSError, ValueError):
            # Nobody reads any more: there is no place left to say so.
            self.dropped_lines += len(lines)


class DroppingHandler(logging.StreamHandler[TextIO]):
    """Writes a line where it is taken at once, and drops it otherwise.

    For a process without a writing thread: a paused pager must not keep it from its work.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if takes_a_line(self.stream):
            super().emit(record)


@contextmanager
def logging_through_thread(log_format: LogFormat, stream: TextIO | None = None) -> Iterator[None]:
    """Log the block's lines to stream, by default standard error, without waiting for it.

    For a process that serves; begin it after the fork.  What was set up before holds again at
    the end.  logging.shutdown() also writes what is left.
    """
    target = logging.StreamHandler(stream if stream is not None else sys.stderr)
    target.setFormatter(_formatter(log_format))
    handler = QueuedHandler(target)
    before = {name: _Setup.of(name) for name in (*_LEVELS, _SILENCED)}
    try:
        _install(handler)
        yield
    finally:
        for name, setup in before.items():
            setup.restore(name)
        handler.close()


def log_directly(log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Log to stream for the rest of the process, without a thread, so that it may fork."""
    handler = DroppingHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(_formatter(log_format))
    _install(handler)


def _formatter(log_format: LogFormat) -> logging.Formatter:
    return JsonFormatter() if log_format == "json" else TextFormatter()


@dataclass(frozen=True, slots=True)
class _Setup:
    """How a logger is set up."""

    handlers: list[logging.Handler]
    level: int
    propagates: bool

    @classmethod
    def of(cls, name: str) -> Self:
        logger = logging.getLogger(name)
        return cls(logger.handlers, logger.level, logger.propagate)

    def restore(self, name: str) -> None:
        logger = logging.getLogger(name)
        logger.handlers = self.handlers
        logger.setLevel(self.level)
        logger.propagate = self.propagates


def _install(handler: logging.Handler) -> None:
    """Makes handler the only one of our loggers and the server's, whatever stood there before."""
    for name, level in _LEVELS.items():
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level)
    silenced = logging.getLogger(_SILENCED)
    silenced.handlers = []
    silenced.propagate = False
    # The logging manual's advice: what no line shows need not be collected for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _timestamp(record: logging.LogRecord) -> str:
    return _time_text(record.created)


def _time_text(moment: float) -> str:
    second = int(moment)
    return f"{_second_text(second)}.{int((moment - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _warning(message: str) -> logging.LogRecord:
    return logging.LogRecord("fileserve.logs", logging.WARNING, "", 0, message, None, None)
