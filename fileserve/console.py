"""How the commands speak to a person at a shell: sizes, times, columns, the question.

Results go to standard output and everything else to standard error, so that a pipe gets results
only.  File names arrive here as storage.names made them printable.
"""

import getpass
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_NANOSECONDS = 1_000_000_000
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")
_COLOURS = {"ok": "32", "warn": "33", "fail": "1;31"}


def say(line: str) -> None:
    """Print a result."""
    print(line)


def note(line: str) -> None:
    """Print what is no result: a remark, a refusal, an error."""
    print(f"fileserve: {line}", file=sys.stderr)


def person() -> str:
    """Who types this, for the record of events; containers run users without a name."""
    try:
        return f"shell {getpass.getuser()}"
    except (KeyError, OSError):
        return f"shell user {os.getuid()}"


def columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """The rows as lines with aligned columns; the last column is neither padded nor cut."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for row in rows:
        padded = (cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True))
        yield "  ".join((*padded, row[-1]))


def coloured(status: str) -> str:
    """ok, warn or fail in four columns, in its colour where a terminal shows it."""
    padded = status.ljust(4)
    if sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        return f"\x1b[{_COLOURS[status]}m{padded}\x1b[0m"
    return padded


def human_size(size: int) -> str:
    """1,234 bytes are ``1.2 kB``: decimal, as disks and lines are sold."""
    if size < 1000:
        return f"{size} B"
    # 999,950 would be rounded to "1000.0 kB".
    power = next((n for n in range(1, 7) if size < 999.95 * 1000**n), 6)
    return f"{size / 1000**power:.1f} {_UNITS[power - 1]}"


def local_time(time_ns: int) -> str:
    """``2026-11-21 03:10`` in the admin's time zone."""
    return _formatted("%Y-%m-%d %H:%M", time.localtime, time_ns)


def utc_time(time_ns: int) -> str:
    """``2026-11-21T03:10:55Z``, RFC 3339, for programs."""
    return _formatted("%Y-%m-%dT%H:%M:%SZ", time.gmtime, time_ns)


def local_second(seconds: int) -> str:
    """The same as local_time of a moment in seconds since 1970."""
    return local_time(seconds * _NANOSECONDS)


def utc_second(seconds: int | None) -> str | None:
    """The same as utc_time of a moment in seconds since 1970; None stays None."""
    return None if seconds is None else utc_time(seconds * _NANOSECONDS)


def _formatted(form: str, split: Callable[[float], time.struct_time], time_ns: int) -> str:
    try:
        return time.strftime(form, split(time_ns // _NANOSECONDS))
    except (OverflowError, OSError, ValueError):  # a file system can hold any year
        return "-"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person answered; nothing but a clear yes counts as one."""

    text: str

    @property
    def is_yes(self) -> bool:
        return self.text.strip().lower() in ("y", "yes")


def ask(question: str) -> Answer:
    """Put a question to the terminal; the end of input is no answer."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return Answer(sys.stdin.readline())


def is_interactive() -> bool:
    """Whether a person sits in front of standard input and sees the questions."""
    return sys.stdin.isatty() and sys.stderr.isatty()
