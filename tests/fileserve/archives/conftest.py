"""The folder that the tests of archives ask for."""

import os
from pathlib import Path

import pytest

from tests.file_times import let_the_kernels_clock_tick
from tests.fileserve.archives.asked import LARGE, MIB


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a folder `set`: small, large, empty and executable files, an empty folder."""
    (tmp_path / "set" / "sub" / "void").mkdir(parents=True)
    (tmp_path / "set" / "small.txt").write_bytes(b"small\n")
    (tmp_path / "set" / "empty").write_bytes(b"")
    (tmp_path / "set" / "run.sh").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "set" / "run.sh").chmod(0o755)
    (tmp_path / "set" / "large.bin").write_bytes(LARGE)
    (tmp_path / "set" / "sub" / "holes").write_bytes(b"")
    os.truncate(tmp_path / "set" / "sub" / "holes", 3 * MIB)
    (tmp_path / "file").write_bytes(b"file")
    let_the_kernels_clock_tick()
    return tmp_path
