"""The desk: what a server knows of its catalog, and that it lives without one."""

import asyncio
import logging
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from fileserve.operations import catalog_desk
from fileserve.operations.catalog_desk import CatalogDesk, CatalogPlace, Presence
from fileserve.operations.catalog_snapshot import KnownFileDigests
from storage.blob import Fingerprint
from storage.catalog import Catalog
from storage.catalog_records import FileDigest, LinkRecord, TokenRecord
from storage.errors import CatalogUnavailable, NotFound

T = TypeVar("T")

PATIENCE_SECONDS = 60.0
ANSWER_SECONDS = 30.0
TOKEN = TokenRecord("a", b"1" * 32, "read", b"", 1)
LINK = LinkRecord("one", "k", b"a", False, 1)
STATE = Fingerprint(1, 2, 3, 4)


def digest(path: bytes, state: Fingerprint = STATE) -> FileDigest:
    return FileDigest(path, *state, b"s" * 32, 5)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "catalog.sqlite"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_desk, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(catalog_desk, "SEARCH_SECONDS", 0.05)


def place(file: Path) -> CatalogPlace:
    return CatalogPlace(f"sqlite:///{file}", str(file), lambda: file.parent.mkdir(exist_ok=True))


def with_desk(file: Path, presence: Presence, use: Callable[[CatalogDesk], Awaitable[T]]) -> T:
    """What use answers, of a desk that is started before and closed after it."""

    async def run() -> T:
        desk = CatalogDesk(place(file), presence)
        await desk.start()
        try:
            return await use(desk)
        finally:
            await desk.close()

    return asyncio.run(run())


async def becomes_true(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        await asyncio.sleep(0.01)


def inode_of(file: Path) -> int | None:
    """Which file has the name; None while none has it."""
    try:
        return file.stat().st_ino
    except FileNotFoundError:
        return None


def opened(file: Path) -> Catalog:
    file.parent.mkdir(exist_ok=True)
    return Catalog.open(f"sqlite:///{file}")


def test_a_desk_without_a_place_knows_nothing_and_refuses_questions() -> None:
    async def run() -> None:
        desk = CatalogDesk(None, Presence.LOOKED_FOR)
        await desk.start()
        assert (desk.tokens, desk.links) == ({}, {})
        assert desk.digests.get(b"a", STATE) is None
        desk.note_event("anybody", "looked")
        with pytest.raises(CatalogUnavailable):
            await desk.ask(lambda catalog: catalog.revision(), ANSWER_SECONDS)
        await desk.close()

    asyncio.run(run())


def test_everything_is_known_as_soon_as_the_desk_has_started(file: Path) -> None:
    with opened(file) as catalog:
        catalog.put_token(TOKEN)
        catalog.put_link(LINK)
        catalog.put_digests([digest(b"a")])

    async def look(desk: CatalogDesk) -> None:
        assert desk.tokens == {TOKEN.secret_hash: TOKEN}
        assert desk.links == {"one": LINK}
        assert desk.digests.get(b"a", STATE) == digest(b"a")
        assert desk.digests.get(b"a", STATE._replace(changed_ns=9)) is None
        assert desk.digests.get(b"b", STATE) is None

    with_desk(file, Presence.LOOKED_FOR, look)


def test_only_a_desk_that_needs_a_catalog_makes_one(file: Path) -> None:
    async def nothing(desk: CatalogDesk) -> None:
        await asyncio.sleep(0.2)

    with_desk(file, Presence.LOOKED_FOR, nothing)
    assert not file.parent.exists()
    with_desk(file, Presence.MADE, nothing)
    assert file.exists()


def test_a_question_makes_the_catalog_that_its_answer_needs(file: Path) -> None:
    async def claim(desk: CatalogDesk) -> bool:
        return await desk.ask(lambda c: c.claim_delivery("one", b"a", 1, 1, 9), ANSWER_SECONDS)

    assert with_desk(file, Presence.LOOKED_FOR, claim)
    assert file.exists()


def test_a_catalog_that_comes_later_is_found_and_followed(file: Path) -> None:
    async def follow(desk: CatalogDesk) -> None:
        with opened(file) as catalog:
            catalog.put_token(TOKEN)
            await becomes_true(lambda: desk.tokens)
            catalog.revoke_token("a", 7)
            await becomes_true(lambda: desk.tokens[TOKEN.secret_hash].revoked_at == 7)
            catalog.put_link(LINK)
            await becomes_true(lambda: "one" in desk.links)
            catalog.revoke_link("one", 8)
            await becomes_true(lambda: desk.links["one"].revoked_at == 8)
            catalog.put_digests([digest(b"a")])
            await becomes_true(lambda: desk.digests.get(b"a", STATE))

    with_desk(file, Presence.LOOKED_FOR, follow)


def test_a_question_is_answered_or_fails_as_asked(file: Path) -> None:
    async def ask(desk: CatalogDesk) -> None:
        assert await desk.ask(lambda catalog: catalog.revision(), ANSWER_SECONDS) == 0
        with pytest.raises(NotFound):
            await desk.ask(lambda catalog: catalog.revoke_token("a", 1), ANSWER_SECONDS)
        with pytest.raises(ZeroDivisionError):
            await desk.ask(lambda catalog: 1 // 0, ANSWER_SECONDS)
        # What failed was undone, and harmed nothing.
        assert await desk.ask(lambda catalog: catalog.revision(), ANSWER_SECONDS) == 0

    with_desk(file, Presence.MADE, ask)


def test_a_question_is_not_waited_for_longer_than_asked(file: Path) -> None:
    async def ask(desk: CatalogDesk) -> None:
        go_on = threading.Event()
        stuck = asyncio.ensure_future(desk.ask(lambda c: go_on.wait(PATIENCE_SECONDS), 60))
        await asyncio.sleep(0)
        done: list[int] = []
        with pytest.raises(CatalogUnavailable, match="no answer in"):
            await desk.ask(lambda catalog: done.append(1), 0.1)
        go_on.set()
        assert await stuck
        await desk.ask(lambda catalog: catalog.revision(), ANSWER_SECONDS)
        assert done == []  # nobody waited for it any more

    with_desk(file, Presence.MADE, ask)


def test_what_was_submitted_is_written_before_the_desk_ends(file: Path) -> None:
    async def submit(desk: CatalogDesk) -> None:
        for number in range(50):
            desk.note_event("token a", "uploaded", b"a", str(number))
        desk.put_digest(digest(b"a"))
        assert desk.digests.get(b"a", STATE) == digest(b"a")

    with_desk(file, Presence.MADE, submit)
    with opened(file) as catalog:
        assert [event.detail for event in catalog.events(100)] == [
            str(n) for n in range(49, -1, -1)
        ]
        assert catalog.digest_of(b"a") == digest(b"a")


def test_a_catalog_that_breaks_is_replaced_and_tokens_go_on(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(file) as catalog:
        catalog.put_token(TOKEN)

    async def break_it(desk: CatalogDesk) -> None:
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        inode = inode_of(file)
        # Its readers go by the log's index, which tells them that pages were changed.
        Path(f"{file}-wal").write_bytes(b"")
        overwrite(Path(f"{file}-shm"), b"\0")
        overwrite(file, b"\xff")
        await becomes_true(lambda: inode_of(file) not in (None, inode))
        assert TOKEN.secret_hash in desk.tokens
        answer = await asyncio.wait_for(_answer(desk), PATIENCE_SECONDS)
        assert answer == [TOKEN]

    with_desk(file, Presence.LOOKED_FOR, break_it)
    assert Path(f"{file}.broken-1").exists()
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert len([line for line in told if "catalog.sqlite.broken-1" in line]) == 1
    assert len([line for line in told if "serving goes on without it" in line]) <= 1


def overwrite(file: Path, byte: bytes) -> None:
    """In place: a file of which another thread has a mapping must not become shorter."""
    with open(file, "r+b") as opened_file:
        opened_file.write(byte * file.stat().st_size)


async def _answer(desk: CatalogDesk) -> list[TokenRecord]:
    while True:
        try:
            return await desk.ask(lambda catalog: catalog.tokens(), ANSWER_SECONDS)
        except CatalogUnavailable:
            await asyncio.sleep(0.05)


def test_a_catalog_broken_before_the_start_is_replaced(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"no database" * 100)

    async def ask(desk: CatalogDesk) -> int:
        return await desk.ask(lambda catalog: catalog.revision(), ANSWER_SECONDS)

    assert with_desk(file, Presence.LOOKED_FOR, ask) == 0
    assert Path(f"{file}.broken-1").read_bytes() == b"no database" * 100


def test_a_lost_catalog_takes_neither_tokens_nor_revocations_along(file: Path) -> None:
    with opened(file) as catalog:
        catalog.put_token(TOKEN)
        catalog.revoke_link("one", 5)

    async def delete(desk: CatalogDesk) -> None:
        # What lies beside it first: the desk makes a new one as soon as the file itself is gone.
        for suffix in (".lock", "-wal", "-shm", ""):
            Path(f"{file}{suffix}").unlink(missing_ok=True)
        await becomes_true(file.exists)
        assert [token.name for token in desk.tokens.values()] == ["a"]
        await becomes_true(lambda: desk.links)
        assert desk.links["one"].revoked_at == 5

    with_desk(file, Presence.LOOKED_FOR, delete)


def test_a_deleted_state_folder_takes_its_tokens_along(file: Path) -> None:
    with opened(file) as catalog:
        catalog.put_token(TOKEN)

    async def delete(desk: CatalogDesk) -> None:
        assert desk.tokens
        # In one step, before the desk looks.
        file.parent.rename(file.parent.with_name("deleted"))
        await becomes_true(lambda: not desk.tokens)
        with opened(file) as catalog:
            catalog.put_token(TokenRecord("b", b"2" * 32, "read", b"", 1))
        await becomes_true(lambda: desk.tokens)
        assert [token.name for token in desk.tokens.values()] == ["b"]

    with_desk(file, Presence.LOOKED_FOR, delete)


def test_a_state_folder_that_cannot_be_made_is_told_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.write_bytes(b"a file in its place")

    def refuse() -> None:
        raise CatalogUnavailable("state_dir: cannot make it")

    async def run() -> None:
        desk = CatalogDesk(CatalogPlace(f"sqlite:///{file}", str(file), refuse), Presence.MADE)
        await desk.start()
        desk.note_event("anybody", "looked")
        for _ in range(3):
            with pytest.raises(CatalogUnavailable):
                await desk.ask(lambda catalog: catalog.revision(), ANSWER_SECONDS)
            await asyncio.sleep(0.1)
        await desk.close()

    asyncio.run(run())
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == ["state_dir: cannot make it; serving goes on without it"]


def test_more_digests_than_memory_holds_are_fetched_for_the_next_time(file: Path) -> None:
    submitted: list[Callable[[Catalog], object]] = []
    with opened(file) as catalog:
        catalog.put_digests([digest(b"%d" % number) for number in range(5)])
        catalog.put_digests([digest(b"new")])
        known = KnownFileDigests(submitted.append, max_known=3)
        known.take(catalog, -1)
        assert known.get(b"new", STATE) == digest(b"new")
        gone = [path for path in (b"%d" % n for n in range(5)) if known.get(path, STATE) is None]
        assert len(gone) == 3
        assert known.get(gone[0], STATE) is None
        assert len(submitted) == 3  # once for each
        submitted[0](catalog)
        assert known.get(gone[0], STATE) == digest(gone[0])


def test_what_a_complete_memory_does_not_hold_is_not_asked_for(file: Path) -> None:
    submitted: list[Callable[[Catalog], object]] = []
    with opened(file) as catalog:
        catalog.put_digests([digest(b"a")])
        known = KnownFileDigests(submitted.append, max_known=3)
        known.take(catalog, -1)
    assert known.get(b"b", STATE) is None
    assert submitted == []


def test_pieces_are_not_held_in_memory() -> None:
    known = KnownFileDigests(lambda deed: None)
    known.put(FileDigest(b"a", *STATE, b"s" * 32, 5, 1 << 20, b"p" * 32))
    found = known.get(b"a", STATE)
    assert found is not None
    assert (found.piece_length, found.pieces) == (1 << 20, None)


def test_a_server_without_a_catalog_never_loads_sqlalchemy(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from fileserve.server import create_app, open_storage
from fileserve.settings import Settings

async def run():
    settings = Settings(root=sys.argv[1])
    site = create_app(settings, open_storage(settings))
    async with site.router.lifespan_context(site):
        await asyncio.sleep(0.1)
        print([name for name in sys.modules if name.startswith(("sqlalchemy", "sqlite3"))])

asyncio.run(run())
"""
    environment = {"XDG_STATE_HOME": str(tmp_path / "state"), "PATH": "/usr/bin:/bin"}
    (tmp_path / "root").mkdir()
    command = [sys.executable, "-c", script, tmp_path / "root"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "[]\n"
    assert not (tmp_path / "state").exists()
