"""What is moved keeps its meaning: a link that climbs leads somewhere else from another folder."""

import asyncio
from pathlib import Path

import pytest

from storage.errors import AccessDenied
from storage.landing import NEW
from storage.local import LocalStorage
from storage.names import parse_os_path
from storage.writing import Writing

# Who may write below a/ alone would otherwise get to what lies beside it.
MOVES = [
    # from            to             is moved  id
    ("a/deep/up",     "a/up",        False,    "link-that-climbs"),
    ("a/deep/up",     "a/deep/up2",  True,     "the-same-in-its-folder"),
    ("a/deep/across", "a/across",    True,     "link-that-does-not-climb"),
    ("a/deep",        "a/b/deep",    False,    "folder-with-one"),
    ("a/deep",        "a/deep2",     True,     "folder-with-one-beside-itself"),
    ("a/far",         "deep",        False,    "folder-with-one-far-down"),
    ("a/plain",       "a/b/plain",   True,     "folder-with-other-links"),
    ("a/file",        "a/b/file",    True,     "file"),
]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    for name in ("a/deep", "a/b", "a/far/down/there", "a/plain", "a/sub", "sub"):
        (folder / name).mkdir(parents=True)
    (folder / "a/file").write_bytes(b"file")
    (folder / "a/deep/up").symlink_to("../sub")
    (folder / "a/deep/across").symlink_to("file")
    (folder / "a/far/down/there/up").symlink_to("x/../../sub")
    (folder / "a/plain/across").symlink_to("file")
    return folder


def move(root: Path, old: str, new: str) -> None:
    async def run() -> None:
        storage = LocalStorage(root)
        try:
            await Writing(storage).move(parse_os_path(old), parse_os_path(new), NEW, None)
        finally:
            await storage.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("old", "new", "is_moved"), [row[:3] for row in MOVES], ids=[row[3] for row in MOVES]
)
def test_what_would_lead_elsewhere_stays(root: Path, old: str, new: str, is_moved: bool) -> None:
    if is_moved:
        move(root, old, new)
    else:
        with pytest.raises(AccessDenied):
            move(root, old, new)
    source, target = root / old, root / new
    assert (source.exists() or source.is_symlink()) is not is_moved
    assert (target.exists() or target.is_symlink()) is is_moved
