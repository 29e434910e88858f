"""Tests of limits so short that a client which is held up itself misses them are then run again."""

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec

P = ParamSpec("P")
_BEAT_SECONDS = 0.01
# Far below the limits that are tested.
_HELD_UP_SECONDS = 0.1
_ATTEMPTS = 6


@dataclass
class _Pulse:
    """The longest time for which this process did not come to run."""

    longest_seconds: float = 0.0


@contextmanager
def _pulse() -> Iterator[_Pulse]:
    pulse, is_over = _Pulse(), threading.Event()

    def beat() -> None:
        last = time.monotonic()
        while not is_over.wait(_BEAT_SECONDS):
            now = time.monotonic()
            pulse.longest_seconds = max(pulse.longest_seconds, now - last)
            last = now

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield pulse
    finally:
        is_over.set()
        thread.join()


def again_if_held_up(test: Callable[P, None]) -> Callable[P, None]:
    """Repeats a test that failed while its own process stood still: that says nothing of a server.

    What fails though the client was in time fails at once.
    """

    @functools.wraps(test)
    def run(*args: P.args, **named: P.kwargs) -> None:
        for _ in range(_ATTEMPTS - 1):
            with _pulse() as pulse:
                try:
                    test(*args, **named)
                except (AssertionError, OSError):
                    if pulse.longest_seconds < _HELD_UP_SECONDS:
                        raise
                else:
                    return
        test(*args, **named)

    return run
