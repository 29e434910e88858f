"""Runs a call that may hang for ever in a child process, which is left behind if it does.

A thread would not do: a process with a thread stuck on a dead mount cannot even exit, and the
shell would wait for it.  Only for commands: the parent must have no other threads.
"""

import contextlib
import os
import pickle
import select
import signal
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")


class NoAnswer(Exception):  # noqa: N818 - an outcome, not an error
    """The call did not come back in time."""


def answer_within(seconds: float, call: Callable[[], T]) -> T:
    """What call returns or raises, both of which must be picklable; raises NoAnswer in time."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(call, writing)
    os.close(writing)
    with open(reading, "rb") as answers:
        if not select.select([answers], [], [], seconds)[0]:
            # Not waited for: a process in a hung call does not even die of this.
            os.kill(child, signal.SIGKILL)
            raise NoAnswer
        answer = answers.read()
    os.waitpid(child, 0)
    if not answer:
        raise NoAnswer
    result = pickle.loads(answer)  # noqa: S301 - written by the child above
    if isinstance(result, BaseException):
        raise result
    return cast(T, result)


def _answer(call: Callable[[], object], writing: int) -> None:
    """Never returns: answers and ends the child without its parent's clean-up."""
    try:
        # A child that hangs must not keep the reader of a pipe waiting.
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - the parent raises it
            result = error
        with open(writing, "wb") as answers, contextlib.suppress(BrokenPipeError):
            pickle.dump(result, answers)
    finally:
        os._exit(0)
