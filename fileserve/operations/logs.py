"""What the server writes about itself: messages, and one line for each transfer that ended.

Nothing here waits for a disk, a pipe or a terminal: lines go into a bounded queue, a thread
writes them.  Lines that find the queue full are counted, and the count is written.
"""

import json
import logging
import logging.handlers
import queue
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self, TextIO

from fileserve.operations.transfers import Transfer

LogFormat = Literal["text", "json"]

# uvicorn tells of its start and stop at INFO, which we say in our own words.
_LEVELS = {"fileserve": logging.INFO, "uvicorn": logging.WARNING}
# It would say everything twice.
_SILENCED = "uvicorn.access"
ACCESS_LOGGER = "fileserve.access"

_QUEUED_LINES = 20_000
# How long the end of the process waits for lines that nobody reads.
_CLOSING_SECONDS = 1.0
_MAX_RANGE_LENGTH = 200

_PLAIN = re.compile(rb"[!#-\[\]-~]*").fullmatch  # no control, space, quote, backslash, non-ASCII
_ESCAPES = {
    code: f"\\x{code:02x}" for code in (*range(0x21), ord('"'), ord("\\"), *range(0x7F, 0x100))
}


class AccessRecord(logging.LogRecord):
    """The log record of a transfer that ended; its line is composed in the writing thread."""

    def __init__(self, transfer: Transfer) -> None:
        super().__init__(ACCESS_LOGGER, logging.INFO, "", 0, "", None, None)
        self.transfer = transfer

    def getMessage(self) -> str:  # noqa: N802 - logging's own name
        return access_text(self.transfer)


def log_access(transfer: Transfer) -> None:
    """Write the access line of a transfer that has ended."""
    logger = logging.getLogger(ACCESS_LOGGER)
    if logger.isEnabledFor(logging.INFO):
        # Without Logger.info: it walks the stack for a file name that says nothing here.
        logger.handle(AccessRecord(transfer))


def access_text(transfer: Transfer) -> str:
    """client, method, path, status, range, bytes, seconds and end cause, separated by spaces.

    A strange character of the client's is written as \\xNN and a missing value as `-`, so that
    there are always eight words on one line.
    """
    status, cause = transfer.status, transfer.end_cause
    return (
        f"{transfer.client or '-'} {transfer.method} {escaped(transfer.target)} "
        f"{'-' if status is None else status} {_range_text(transfer) or '-'} "
        f"{transfer.body_bytes_sent} {transfer.seconds:.3f} {cause.value if cause else '-'}"
    )


def access_members(transfer: Transfer) -> dict[str, str | int | float | None]:
    """The same as the members of a JSON object."""
    return {
        "client": transfer.client or None,
        "method": transfer.method,
        "path": escaped(transfer.target),
        "status": transfer.status,
        "range": _range_text(transfer),
        "bytes": transfer.body_bytes_sent,
        "seconds": round(transfer.seconds, 3),
        "end": transfer.end_cause.value if transfer.end_cause else None,
    }


def escaped(text: bytes) -> str:
    """text in visible ASCII, without quotes and spaces; everything else as \\xNN."""
    if _PLAIN(text):
        return text.decode("ascii")
    return text.decode("latin-1").translate(_ESCAPES)


def _range_text(transfer: Transfer) -> str | None:
    value = transfer.range_field
    return None if value is None else escaped(value[:_MAX_RANGE_LENGTH])


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


class QueuedHandler(logging.handlers.QueueHandler):
    """Hands records to a thread that writes them through target; never waits for it.

    Takes ownership of target.  The thread starts here, so make it after the process has forked.
    """

    def __init__(self, target: logging.Handler) -> None:
        self._lines: queue.Queue[logging.LogRecord | None] = queue.Queue(_QUEUED_LINES)
        super().__init__(self._lines)
        self.dropped_lines = 0
        self._target = target
        self._thread = threading.Thread(target=self._write, name="log-writer", daemon=True)
        self._thread.start()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """The record as it is: it stays in this process, and formatting is the thread's work."""
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        """Called under the handler's lock, which makes the count right."""
        try:
            self._lines.put_nowait(record)
        except queue.Full:
            self.dropped_lines += 1

    def close(self) -> None:
        """Let the thread write what is queued, for a second at most: nobody may read it."""
        super().close()
        deadline = time.monotonic() + _CLOSING_SECONDS
        try:
            self._lines.put(None, timeout=_CLOSING_SECONDS)
        except queue.Full:
            return
        self._thread.join(max(deadline - time.monotonic(), 0))
        if not self._thread.is_alive():
            self._target.close()

    def _write(self) -> None:
        reported = 0
        while (record := self._lines.get()) is not None:
            self._target.handle(record)
            dropped = self.dropped_lines - reported
            if dropped:
                reported += dropped
                self._target.handle(_warning(f"{dropped} log lines were dropped: queue full"))


@contextmanager
def logging_through_thread(log_format: LogFormat, stream: TextIO | None = None) -> Iterator[None]:
    """Log the block's lines to stream, by default standard error, without waiting for it.

    For a process that serves; begin it after the fork.  What was set up before holds again at
    the end.  logging.shutdown() also writes what is left.
    """
    handler = QueuedHandler(_stream_handler(log_format, stream))
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
    _install(_stream_handler(log_format, stream))


def _stream_handler(log_format: LogFormat, stream: TextIO | None) -> logging.Handler:
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    return handler


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


def _timestamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _warning(message: str) -> logging.LogRecord:
    return logging.LogRecord("fileserve.logs", logging.WARNING, "", 0, message, None, None)
