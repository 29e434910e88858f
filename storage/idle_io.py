"""Lets a thread read from disks only while nobody else does (the idle class of ioprio_set(2)).

Schedulers that know no classes, like `none` and `mq-deadline`, take no notice.
"""

import ctypes
import os

_IOPRIO_WHO_PROCESS = 1
_CALLING_THREAD = 0
_IDLE_CLASS = 3 << 13
_SYSTEM_CALLS = {"x86_64": 251, "aarch64": 30, "riscv64": 30}


def read_when_idle() -> bool:
    """Put the calling thread into the idle class; False where the system does not do that."""
    number = _SYSTEM_CALLS.get(os.uname().machine)
    if number is None:
        return False
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    failed = syscall(
        ctypes.c_long(number),
        ctypes.c_long(_IOPRIO_WHO_PROCESS),
        ctypes.c_long(_CALLING_THREAD),
        ctypes.c_long(_IDLE_CLASS),
    )
    return bool(failed == 0)
