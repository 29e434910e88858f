"""The system programs that the tests here drive: found or loudly missed, run, ended by pid."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

import pytest

# The sizes that the closing notes are about; by default the suite shows the same with less.
IS_BIG = os.environ.get("FILESERVE_TEST_BIG") == "1"
# Generous: nothing here is waited for when all goes well.
PATIENCE_SECONDS = 300.0
POLL_SECONDS = 0.01


def require(*programs: str) -> None:
    """Skips the test unless all programs are installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        not_tested(f"install {', '.join(missing)}")


def not_tested(reason: str) -> NoReturn:
    """A loud skip for people; a failure where nobody reads the skips."""
    sentence = f"NOT TESTED: {reason}"
    if os.environ.get("CI", "") not in ("", "0", "false"):
        pytest.fail(sentence)
    pytest.skip(sentence)


def finish(command: Sequence[str | os.PathLike[str]]) -> subprocess.CompletedProcess[str]:
    """Runs command to its end; whether it succeeded is in its returncode."""
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@contextlib.contextmanager
def running(command: Sequence[str | os.PathLike[str]]) -> Iterator[subprocess.Popen[bytes]]:
    """The process of command, silent; killed at the end of the block if it still runs."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)


def wait_until(is_true: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Returns when is_true says so; fails with what was waited for when it never does."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(POLL_SECONDS)
