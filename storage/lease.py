"""A descriptor shared with threads, closed when its owner and the last of them let go of it.

Closing at once would be wrong while a thread is still stuck in a call with it: the number is
used again for another file, and the thread would go on with that.
"""

import os
import threading
from types import TracebackType


class Lease:
    """Takes ownership of a descriptor; ``with lease as fileno`` uses it, in any thread."""

    __slots__ = ("_fileno", "_is_released", "_lock", "_users")

    def __init__(self, fileno: int) -> None:
        self._fileno = fileno
        self._lock = threading.Lock()
        self._users = 0
        self._is_released = False

    def __enter__(self) -> int:
        with self._lock:
            if self._is_released:
                raise ValueError("the file is closed")
            self._users += 1
        return self._fileno

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with self._lock:
            self._users -= 1
            is_last = self._is_released and self._users == 0
        if is_last:
            os.close(self._fileno)

    def release(self) -> None:
        """Close now, or as soon as nobody uses it; may be called twice."""
        with self._lock:
            is_last = not self._is_released and self._users == 0
            self._is_released = True
        if is_last:
            os.close(self._fileno)
