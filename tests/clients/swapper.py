"""Exchanges two paths over and over, as a program of its own: `swapper A B COUNT`.

It says when it has begun, and swaps until COUNT swaps are made and its standard input has ended,
both; then it prints how many it made.
"""

import ctypes
import os
import selectors
import sys

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# Looking for the end of the input after each swap would make half as many swaps.
_SWAPS_BETWEEN_LOOKS = 100


def main(first: str, second: str, at_least: int) -> int:
    """How many swaps were made."""
    libc = ctypes.CDLL(None, use_errno=True)
    a, b = os.fsencode(first), os.fsencode(second)
    swaps, is_wanted = 0, True
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        while swaps < at_least or is_wanted:
            for _ in range(_SWAPS_BETWEEN_LOOKS):
                if libc.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, _RENAME_EXCHANGE) != 0:
                    raise OSError(ctypes.get_errno(), "renameat2 failed", first)
            if swaps == 0:
                print("begun", flush=True)
            swaps += _SWAPS_BETWEEN_LOOKS
            is_wanted = is_wanted and not selector.select(0)
    return swaps


if __name__ == "__main__":
    print(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
