"""A folder tree as storage: what is listed, in which order, and what is not."""

import asyncio
import os
from pathlib import Path

import pytest

from storage.errors import NotAFolder, NotFound, StorageError
from storage.local import EntryKind, HiddenNames, LocalStorage, Symlinks
from storage.names import Name, parse_os_path
from tests.descriptors import nothing_left_open, open_descriptors
from tests.storage.local_folder import ROOT, contents, listed, until

pytestmark = pytest.mark.usefixtures("opener")


def test_a_listing_has_folders_first_and_nothing_that_is_not_handed_out(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top)
        entries = await listed(storage)
        assert [(entry.segment, entry.kind.value, entry.size) for entry in entries] == [
            (b"folder", "folder", None),
            (b"to-folder", "folder", None),
            (b"empty", "file", 0),
            (b"film.mkv", "file", 10),
            (b"link", "file", 10),
            (b"published", "file", 1),
        ]
        assert entries[3].modified_ns == (top / "film.mkv").stat().st_mtime_ns
        assert [entry.segment for entry in await listed(storage, "to-folder")] == [b"inner"]
        await storage.close()

    asyncio.run(scenario())


def test_hidden_names_are_shown_when_that_is_asked_for(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top, hidden=HiddenNames.SHOW)
        segments = [entry.segment for entry in await listed(storage)]
        assert segments[:3] == [b".secret", b"folder", b"to-folder"]
        assert b".hidden" in segments
        assert await contents(storage, ".secret/x") == b"x"
        await storage.close()

    asyncio.run(scenario())


def test_without_symlinks_none_is_listed_or_opened(top: Path) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top, symlinks=Symlinks.NEVER)
        names = [entry.segment for entry in await listed(storage)]
        assert names == [b"folder", b"empty", b"film.mkv"]
        with pytest.raises(NotFound):
            await storage.open(Name((b"link",)))
        await storage.close()

    asyncio.run(scenario())


def test_names_of_any_bytes_are_listed_in_order_and_opened(tmp_path: Path) -> None:
    segments = [b"A", b"b", b"\xc3\x84", b"\xe4\n\"<>\\'", b"x" * 255]
    for segment in segments:
        (tmp_path / os.fsdecode(segment)).write_bytes(segment)

    async def scenario() -> None:
        storage = LocalStorage(tmp_path)
        names = [entry.segment for entry in await listed(storage)]
        assert sorted(names) == sorted(segments)
        assert names[:2] == [b"A", b"b"]
        for segment in segments:
            blob = await storage.open(Name((segment,)))
            assert await blob.read(0, 300) == segment
            await blob.close()
        await storage.close()

    asyncio.run(scenario())


LIST_ERRORS = [
    # name         error        id
    ("film.mkv",   NotAFolder,  "file"),
    ("nothing",    NotFound,    "missing"),
    ("fifo",       NotFound,    "fifo"),
    (".secret",    NotFound,    "hidden-folder"),
    ("out",        NotFound,    "link-out"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "error"), [r[:2] for r in LIST_ERRORS], ids=[r[2] for r in LIST_ERRORS]
)
def test_only_folders_are_listed(top: Path, path: str, error: type[StorageError]) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top)
        with pytest.raises(error):
            await anext(storage.list(parse_os_path(path)))
        await storage.close()

    with nothing_left_open():
        asyncio.run(scenario())


def test_fifty_thousand_entries_come_in_batches_folders_first(tmp_path: Path) -> None:
    for number in range(50_000):
        if number % 100:
            os.close(os.open(tmp_path / f"{number:05}", os.O_CREAT | os.O_WRONLY))
        else:
            (tmp_path / f"{number:05}").mkdir()

    async def scenario() -> None:
        storage = LocalStorage(tmp_path)
        sizes, names = [], []
        async for batch in storage.list(ROOT):
            sizes.append(len(batch))
            names += [(entry.kind is not EntryKind.FOLDER, entry.segment) for entry in batch]
        assert max(sizes) == 500
        assert len(names) == 50_000
        assert names == sorted(names)
        await storage.close()

    asyncio.run(scenario())


def test_an_entry_that_vanishes_meanwhile_is_left_out(tmp_path: Path) -> None:
    for number in range(1_000):
        (tmp_path / f"{number:04}").touch()

    async def scenario() -> None:
        storage = LocalStorage(tmp_path)
        batches = storage.list(ROOT)
        first = await anext(batches)
        (tmp_path / "0750").unlink()
        rest = [entry.segment async for batch in batches for entry in batch]
        assert len(first) == 500
        assert len(rest) == 499
        assert b"0750" not in rest
        await storage.close()

    asyncio.run(scenario())


def test_a_listing_that_is_left_early_closes_the_folder(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number}").touch()

    async def scenario() -> None:
        storage = LocalStorage(tmp_path)
        await listed(storage)
        before = open_descriptors()
        batches = storage.list(ROOT)
        await anext(batches)
        await batches.aclose()
        await until(lambda: open_descriptors() <= before)
        await storage.close()

    asyncio.run(scenario())
