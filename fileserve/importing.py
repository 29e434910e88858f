"""Ctrl-C while a command is still being imported: it ends at once, without a traceback.

Imported before everything else; importing takes 0.3 s, and who types a wrong command is quick.
"""

import os
import signal
import threading
from types import FrameType

INTERRUPTED = 130


def _leave(_number: int, _frame: FrameType | None) -> None:
    # Not by an exception: those that some import catches would be lost.
    os._exit(INTERRUPTED)


def is_done() -> None:
    """Give Ctrl-C its usual meaning again."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


# Not in the place of what others have set: a shell lets its background jobs ignore Ctrl-C.
if (
    threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, _leave)
