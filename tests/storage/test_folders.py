"""A folder in every order."""

import asyncio
import os
from pathlib import Path

import pytest

from storage.folders import BATCH_ENTRIES, Entry
from storage.local import LocalStorage
from storage.names import Name
from storage.ordering import Direction, Order, SortKey

ROOT = Name(())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Names, sizes and times in three different orders."""
    for name, size, seconds in [("b", 30, 5), ("A", 20, 9), ("c", 10, 7), ("D", 20, 1)]:
        (tmp_path / name).write_bytes(b"x" * size)
        os.utime(tmp_path / name, (seconds, seconds))
    for name, seconds in [("y", 6), ("X", 8)]:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (seconds, seconds))
    return tmp_path


def batches_of(root: Path, order: Order) -> list[list[Entry]]:
    async def scenario() -> list[list[Entry]]:
        storage = LocalStorage(root)
        try:
            return [batch async for batch in storage.list(ROOT, order)]
        finally:
            await storage.close()

    return asyncio.run(scenario())


def names_in(root: Path, order: Order) -> list[bytes]:
    return [entry.segment for batch in batches_of(root, order) for entry in batch]


ORDERS = [
    # key               direction              names
    (SortKey.NAME,      Direction.ASCENDING,   b"XyAbcD"),
    (SortKey.NAME,      Direction.DESCENDING,  b"yXDcbA"),
    (SortKey.SIZE,      Direction.ASCENDING,   b"XycADb"),
    (SortKey.SIZE,      Direction.DESCENDING,  b"XybADc"),
    (SortKey.MODIFIED,  Direction.ASCENDING,   b"DbycXA"),
    (SortKey.MODIFIED,  Direction.DESCENDING,  b"AXcybD"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "direction", "names"), ORDERS)
def test_entries_come_in_the_order_asked_for(
    folder: Path, key: SortKey, direction: Direction, names: bytes
) -> None:
    assert b"".join(names_in(folder, Order(key, direction))) == names


def test_a_long_folder_says_at_once_that_it_is_there_and_is_sorted_after_that(
    tmp_path: Path,
) -> None:
    for number in range(BATCH_ENTRIES + 1):
        with open(tmp_path / f"{number:03}", "wb") as file:
            file.truncate(number * 7919 % 1_000)
    first, *rest = batches_of(tmp_path, Order(SortKey.SIZE))
    sizes = [entry.size or 0 for batch in rest for entry in batch]
    assert first == []
    assert len(sizes) == BATCH_ENTRIES + 1
    assert sizes == sorted(sizes)


def test_a_link_that_leads_nowhere_is_in_no_order(folder: Path) -> None:
    (folder / "z").symlink_to("gone")
    for key, direction, names in ORDERS:
        assert b"".join(names_in(folder, Order(key, direction))) == names
