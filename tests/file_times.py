"""The times of files are those of a clock that ticks a few hundred times a second."""

import time

# linux/time.h: the clock by which the kernel dates what happens to files.
_CLOCK_REALTIME_COARSE = 5


def let_the_kernels_clock_tick() -> None:
    """Whatever is written after this has another time than what was written before it."""
    before = time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)
    while time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) == before:
        time.sleep(0.001)
