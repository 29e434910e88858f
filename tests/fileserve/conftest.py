"""What tests of the site start with, unless they make it themselves."""

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder to be served, with nothing in it."""
    folder = tmp_path / "root"
    folder.mkdir()
    return folder
