"""A shell to type commands in, and something to list."""

import os
from pathlib import Path

import pytest

from tests.cli.shell import Names, Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """In a folder with a.bin (2,000 bytes) and an empty root."""
    (tmp_path / "root").mkdir()
    (tmp_path / "a.bin").write_bytes(b"ab" * 1000)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    environment = {
        **kept,
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "FILESERVE_ROOT": "root",
        "COLUMNS": "80",
        "TERM": "dumb",
        "TZ": "UTC",
        "PYTHONDEVMODE": "1",
        "PYTHONWARNINGS": "error",
    }
    return Shell(tmp_path, tmp_path / "root", environment)


@pytest.fixture
def films(shell: Shell) -> Names:
    """A root with films/; the function tells every path in the root."""
    (shell.root / "films").mkdir()
    (shell.root / "films" / "b.mkv").write_bytes(b"1" * 1500)
    (shell.root / "c.txt").write_bytes(b"1")

    def names() -> list[str]:
        return sorted(str(path.relative_to(shell.root)) for path in shell.root.rglob("*"))

    return names
