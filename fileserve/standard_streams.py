"""Standard output and error as they may be found: closed, full, or read by nobody."""

import os
import select
import sys
from contextlib import suppress
from typing import TextIO

_OUTPUT, _ERROR = 1, 2


def open_missing_streams() -> None:
    """Let nothing else become standard output or error where they were closed.

    The next socket would get their number, and what is written to them would
    go to a client.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _ERROR:
        continue
    os.close(descriptor)
    if sys.stdout is None:
        sys.stdout = os.fdopen(_OUTPUT, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(_ERROR, "w", closefd=False)


def write_past_buffers(stream: TextIO, text: str) -> None:
    """Write text to stream's descriptor, however long it takes; raises OSError.

    Who waits inside a stream's buffer holds its lock, and whoever flushes it
    at the end of the process waits as well.
    """
    descriptor = _descriptor_of(stream)
    if descriptor is None:
        stream.write(text)
        return
    rest = memoryview(text.encode(errors="backslashreplace"))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def flush_at_once(stream: TextIO) -> None:
    """Flush stream where that cannot wait."""
    with suppress(OSError, ValueError):  # a reader that has gone, a closed stream
        if takes_a_line(stream):
            stream.flush()


def takes_a_line(stream: TextIO) -> bool:
    """Whether writing a line to stream cannot wait; a pipe is ready for 4,096 bytes (pipe(7))."""
    descriptor = _descriptor_of(stream)
    if descriptor is None:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


def _descriptor_of(stream: TextIO) -> int | None:
    """Return the descriptor; None for what is not a file of the system's."""
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None
