"""What this process has open, once the threads that close things have come to it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE_SECONDS = 30.0


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def nothing_left_open() -> Iterator[None]:
    """No more descriptors are open after the block than before it.

    Fewer are no fault: a thread may have closed something of the test before.
    """
    before = open_descriptors()
    yield
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (now := open_descriptors()) > before:
        assert time.monotonic() < deadline, f"{before} open before, {now} now"
        time.sleep(0.005)
