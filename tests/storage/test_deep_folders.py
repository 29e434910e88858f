"""Folders as deep as a name can be: made by a client, moved and removed like others."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from storage.landing import NEW
from storage.library import Scope
from storage.local import LocalStorage
from storage.names import STAGING_SEGMENT, Name
from storage.writing import Writing

# 2,048 bytes: more levels than Python calls functions, more than there are descriptors.
DEEP = Name((b"a",) * 1_024)


def in_writing(root: Path, use: Callable[[Writing], Awaitable[None]]) -> None:
    async def run() -> None:
        storage = LocalStorage(root)
        try:
            writing = Writing(storage, 1 << 20)
            incoming = await writing.receive(DEEP)
            incoming.write([b"deep"])
            incoming.commit(NEW)
            await use(writing)
        finally:
            await storage.close()

    asyncio.run(run())


def test_a_deep_folder_counts_and_is_moved_and_removed_whole(tmp_path: Path) -> None:
    """One test, since making so many levels durable takes seconds."""

    async def use(writing: Writing) -> None:
        assert writing.quota is not None
        writing.quota.require((1 << 20) - len(b"deep"))
        await writing.move(Name((b"a",)), Name((b"b", b"a")), NEW, None)
        assert (tmp_path / "b" / "a" / "a").is_dir()
        await writing.remove(Name((b"b",)), Scope.TREE, None)

    in_writing(tmp_path, use)
    assert [entry.name.encode() for entry in tmp_path.iterdir()] == [STAGING_SEGMENT]
    assert [entry.name for entry in (tmp_path / STAGING_SEGMENT.decode()).iterdir()] == ["lock"]
