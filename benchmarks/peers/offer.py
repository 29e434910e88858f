"""What every server gets to serve, and what every server has to tell about itself."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Ability(Enum):
    """What a server may be able to do beyond serving files."""

    LISTING = "lists folders"
    TLS = "speaks TLS"
    WORKERS = "has worker processes or threads"


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Offer:
    """A folder to serve on a port of 127.0.0.1; scratch is the server's own folder."""

    root: Path
    port: int
    scratch: Path
    workers: int = 1
    certificate: Certificate | None = None

    def write(self, file_name: str, text: str) -> str:
        """A file of that text in the scratch folder; its path."""
        path = self.scratch / file_name
        path.write_text(text, encoding="utf-8")
        return os.fspath(path)


@dataclass(frozen=True, slots=True)
class Peer:
    """A server: how it is started, what it can, and why it may be missing.

    missing gives None, or a sentence that says what is not installed.
    """

    name: str
    title: str
    command: Callable[[Offer], Sequence[str]]
    missing: Callable[[], str | None]
    can: frozenset[Ability] = frozenset()


def python_module(*arguments: str) -> list[str]:
    """A command of the Python that runs the bench."""
    return [sys.executable, "-m", *arguments]
