"""What a check of `fileserve doctor` found, as it is printed."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from fileserve.console import coloured

_SUBJECT_WIDTH = 11


class Status(IntEnum):
    """How a check went; the larger the worse."""

    OK = 0
    WARN = 1
    FAIL = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; advice says what to do, empty where nothing is to be done."""

    status: Status
    subject: str
    sentence: str
    advice: str = ""

    def lines(self) -> Iterator[str]:
        """One line, and a second one with the advice."""
        status = coloured(self.status.name.lower())
        yield f"{status}  {self.subject:{_SUBJECT_WIDTH}} {self.sentence}"
        if self.advice:
            yield f"{'':{_SUBJECT_WIDTH + 6}} {self.advice}"
