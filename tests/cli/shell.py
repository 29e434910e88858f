"""The real `fileserve` command in a process of its own, as a shell starts it."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Generous: a noisy machine may take seconds to import.
LIMIT_SECONDS = 120.0

# What the root folder holds, by name: a fixture.
Names = Callable[[], list[str]]


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Shell:
    """A working folder and an environment without any setting of fileserve in it."""

    folder: Path
    root: Path
    environment: Mapping[str, str]

    def command(self, *words: str | bytes) -> list[str | bytes]:
        return [str(Path(sys.executable).parent / "fileserve"), *words]

    def run(self, *words: str | bytes, **variables: str) -> Ended:
        """Run the command to its end, with the root in FILESERVE_ROOT and no input."""
        return self.run_with_input(b"", *words, **variables)

    def run_with_input(self, stdin: bytes, *words: str | bytes, **variables: str) -> Ended:
        """The same with something on standard input."""
        ended = subprocess.run(
            self.command(*words),
            input=stdin,
            capture_output=True,
            cwd=self.folder,
            env={**self.environment, **variables},
            timeout=LIMIT_SECONDS,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
