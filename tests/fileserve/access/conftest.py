"""A site for what goes by links."""

from pathlib import Path

import pytest

from tests.fileserve.access.linked_site import CONTENT, Served


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """Films that links are for, and what they are not for."""
    root, state = tmp_path / "root", tmp_path / "state"
    (root / "films" / "2026").mkdir(parents=True)
    (root / "films" / "a b.bin").write_bytes(CONTENT)
    (root / "films" / "2026" / "c.txt").write_text("c")
    (root / "films" / "page.html").write_text("<p>page</p>")
    (root / "other").mkdir()
    (root / "other" / "secret.txt").write_text("secret")
    (root / "top.txt").write_text("top")
    state.mkdir()
    return Served(root, state)
