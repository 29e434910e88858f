"""A file on its way in: visible whole and durable, or not at all."""

import asyncio
import hashlib
import os
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from storage.atomic import Existing
from storage.blob import Fingerprint
from storage.errors import (
    AlreadyExists,
    Changed,
    IsFolder,
    NameRefused,
    NoSpace,
    NotAFolder,
    StorageError,
)
from storage.incoming import Arrival
from storage.landing import NEW, Claim
from storage.local import HiddenNames, LocalStorage
from storage.names import STAGING_SEGMENT, Name, parse_os_path
from storage.staging import create_part, open_staging, sweep
from storage.writing import Writing

STAGING = os.fsdecode(STAGING_SEGMENT)
REPLACE = Claim(Existing.REPLACE)

pytestmark = pytest.mark.usefixtures("opener", "no_leaks")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """The root folder, with one of everything that can be in the way."""
    top = tmp_path / "root"
    (top / "folder").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (top / "old").write_bytes(b"old")
    (top / "link").symlink_to("old")
    (top / "out").symlink_to("../outside")
    (top / "dangling").symlink_to("nothing")
    (top / "to-folder").symlink_to("folder")
    os.mkfifo(top / "fifo")
    return top


def on_storage(
    top: Path, use: Callable[[Writing], Awaitable[object]], hidden: HiddenNames = HiddenNames.REFUSE
) -> None:
    async def run() -> None:
        storage = LocalStorage(top, hidden=hidden)
        try:
            await use(Writing(storage))
        finally:
            await storage.close()

    asyncio.run(run())


def put(top: Path, name: str, content: bytes, claim: Claim = NEW) -> Arrival:
    """Receives a file in two pieces."""
    arrivals: list[Arrival] = []

    async def use(writing: Writing) -> None:
        incoming = await writing.receive(parse_os_path(name))
        try:
            incoming.reserve(len(content))
            incoming.write([content[:1], content[1:]])
            arrivals.append(incoming.commit(claim))
        finally:
            incoming.abort()

    on_storage(top, use)
    return arrivals[0]


def state_of(path: Path) -> Fingerprint:
    found = path.stat()
    return Fingerprint(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def test_a_file_arrives_with_its_state_and_digests(top: Path) -> None:
    arrival = put(top, "folder/new", b"content")
    path = top / "folder" / "new"
    assert path.read_bytes() == b"content"
    assert arrival.state == state_of(path)
    assert arrival.digests.sha256 == hashlib.sha256(b"content").digest()
    assert arrival.digests.crc32 == zlib.crc32(b"content")


def test_missing_folders_are_made(top: Path) -> None:
    put(top, "a/b/c/new", b"x")
    assert (top / "a/b/c/new").read_bytes() == b"x"


def test_a_new_file_needs_no_staging_folder(top: Path) -> None:
    put(top, "new", b"x")
    assert not (top / STAGING).exists()


def test_nothing_is_visible_before_the_commit(top: Path) -> None:
    before = sorted(os.listdir(top))

    async def use(writing: Writing) -> None:
        incoming = await writing.receive(parse_os_path("a/b/new"))
        incoming.reserve(1 << 20)
        incoming.write([b"half"])
        assert sorted(os.listdir(top)) == before
        incoming.abort()
        incoming.abort()
        assert sorted(os.listdir(top)) == before

    on_storage(top, use)


def test_what_is_there_is_replaced_in_the_state_that_was_meant(top: Path) -> None:
    put(top, "old", b"new", Claim(Existing.REPLACE, state_of(top / "old")))
    assert (top / "old").read_bytes() == b"new"
    assert os.listdir(top / STAGING) == ["lock"]


# fmt: off
REFUSED = [
    # name           claim                                                        error           id
    ("old",          NEW,                                                         AlreadyExists),
    ("old",          Claim(Existing.REPLACE, Fingerprint(3, 0, 0, 0)),            Changed),
    ("new",          Claim(Existing.REPLACE, Fingerprint(3, 0, 0, 0)),            Changed),
    ("folder",       NEW,                                                         IsFolder),
    ("folder",       REPLACE,                                                     IsFolder),
    ("link",         REPLACE,                                                     AlreadyExists),
    ("dangling",     NEW,                                                         AlreadyExists),
    ("fifo",         REPLACE,                                                     AlreadyExists),
    ("old/new",      NEW,                                                         NotAFolder),
    ("fifo/new",     NEW,                                                         NotAFolder),
    ("old/a/new",    NEW,                                                         NotAFolder),
    ("out/new",      NEW,                                                         NotAFolder),
    ("out/a/new",    NEW,                                                         NotAFolder),
    ("dangling/new", NEW,                                                         NotAFolder),
    (".hidden",      NEW,                                                         NameRefused),
    (".",            NEW,                                                         NameRefused),
]
# fmt: on


@pytest.mark.parametrize(("name", "claim", "error"), REFUSED)
def test_what_is_in_the_way_stays_as_it_was(
    top: Path, name: str, claim: Claim, error: type[StorageError]
) -> None:
    before = {path: path.lstat().st_mtime_ns for path in top.parent.rglob("*")}
    with pytest.raises(error):
        put(top, name, b"content", claim)
    after = {path: path.lstat().st_mtime_ns for path in top.parent.rglob("*")}
    after = {path: time for path, time in after.items() if STAGING not in path.parts}
    before[top] = after[top]  # the staging folder was made in it
    assert after == before


def test_a_link_to_a_folder_beneath_the_root_is_followed(top: Path) -> None:
    put(top, "to-folder/new", b"x")
    assert (top / "folder" / "new").read_bytes() == b"x"


def test_hidden_names_are_made_where_they_are_shown(top: Path) -> None:
    async def use(writing: Writing) -> None:
        (await writing.receive(parse_os_path(".hidden"))).abort()

    on_storage(top, use, HiddenNames.SHOW)


def test_no_space_is_told_before_a_byte_is_written(top: Path) -> None:
    async def use(writing: Writing) -> None:
        incoming = await writing.receive(parse_os_path("new"))
        with pytest.raises(NoSpace):
            incoming.reserve(1 << 62)
        incoming.abort()
        incoming = await writing.receive(parse_os_path("new"), keep_free_bytes=1 << 60)
        with pytest.raises(NoSpace):
            incoming.write([b"x"])
        incoming.abort()

    on_storage(top, use)


def test_nothing_is_written_after_the_end(top: Path) -> None:
    async def use(writing: Writing) -> None:
        incoming = await writing.receive(parse_os_path("new"))
        incoming.abort()
        for call in (lambda: incoming.write([b"x"]), lambda: incoming.commit(NEW)):
            with pytest.raises(ValueError, match="has ended"):
                call()

    on_storage(top, use)


def test_of_two_writers_of_one_new_name_one_wins_whole(top: Path) -> None:
    async def use(writing: Writing) -> None:
        both = [await writing.receive(parse_os_path("a/new")) for _ in range(2)]
        for incoming, content in zip(both, (b"first", b"second"), strict=True):
            incoming.write([content])
        both[1].commit(NEW)
        with pytest.raises(AlreadyExists):
            both[0].commit(NEW)
        both[0].abort()

    on_storage(top, use)
    assert (top / "a" / "new").read_bytes() == b"second"


def test_of_two_writers_who_mean_one_state_one_wins_whole(top: Path) -> None:
    claim = Claim(Existing.REPLACE, state_of(top / "old"))
    put(top, "old", b"first", claim)
    with pytest.raises(Changed):
        put(top, "old", b"second", claim)
    assert (top / "old").read_bytes() == b"first"


def test_a_folder_moved_away_meanwhile_takes_no_file_along(top: Path) -> None:
    async def use(writing: Writing) -> None:
        incoming = await writing.receive(parse_os_path("folder/new"))
        (top / "folder").rename(top.parent / "moved")
        with pytest.raises(NotAFolder):
            incoming.commit(NEW)
        incoming.abort()

    on_storage(top, use)
    assert os.listdir(top.parent / "moved") == []


def test_without_nameless_files_a_staged_one_does_the_same(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on NFS, FUSE and old overlays; the flag's number is all that the code has.
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_WRONLY)
    put(top, "a/new", b"x")
    put(top, "old", b"new", REPLACE)
    with pytest.raises(AlreadyExists):
        put(top, "a/new", b"y")
    assert (top / "a" / "new").read_bytes() == b"x"
    assert (top / "old").read_bytes() == b"new"
    assert os.listdir(top / STAGING) == ["lock"]


def test_what_cannot_be_removed_any_more_is_closed_all_the_same(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_WRONLY)

    async def use(writing: Writing) -> None:
        incoming = await writing.receive(parse_os_path("new"))
        (top / STAGING).rename(top / "elsewhere")
        (top / STAGING).touch()
        incoming.abort()

    on_storage(top, use)


def test_sweeping_removes_what_nobody_holds(top: Path) -> None:
    top_fd = os.open(top, os.O_RDONLY)
    assert sweep(top_fd) == 0
    staging_fd = open_staging(top_fd)
    held_fd, held = create_part(staging_fd, 0o600)
    left_fd, _left = create_part(staging_fd, 0o600)
    os.close(left_fd)
    (top / STAGING / "0123.json").write_bytes(b"somebody else's")
    assert sweep(top_fd) == 1
    assert sorted(os.listdir(top / STAGING)) == sorted([os.fsdecode(held), "0123.json"])
    for fd in (held_fd, staging_fd, top_fd):
        os.close(fd)


def test_sweeping_reaches_other_mounts(top: Path, bind_mount: Callable[[Path, Path], None]) -> None:
    other = top.parent / "other"
    (other / STAGING).mkdir(parents=True)
    part = other / STAGING / f"{'0' * 32}.part"
    part.touch()
    bind_mount(other, top / "folder")
    on_storage(top, lambda writing: writing.sweep())
    assert not part.exists()


def test_a_file_for_another_mount_is_made_there(
    top: Path, bind_mount: Callable[[Path, Path], None]
) -> None:
    other = top.parent / "other"
    (other / "inner").mkdir(parents=True)
    inner = top.parent / "inner"
    inner.mkdir()
    bind_mount(other, top / "folder")
    bind_mount(inner, top / "folder" / "inner")
    for name in ("folder/a/new", "folder/inner/b/new"):
        put(top, name, b"x")
        put(top, name, b"y", REPLACE)
    assert (other / "a" / "new").read_bytes() == b"y"
    assert (inner / "b" / "new").read_bytes() == b"y"
    assert (inner / STAGING).is_dir()
    with pytest.raises((AlreadyExists, IsFolder)):
        put(top, "folder/inner", b"x", REPLACE)


def test_a_symlink_in_place_of_the_staging_folder_is_refused(top: Path) -> None:
    (top / STAGING).symlink_to("../outside")
    with pytest.raises(StorageError):
        put(top, "old", b"new", REPLACE)
    assert os.listdir(top.parent / "outside") == []
    assert (top / "old").read_bytes() == b"old"


def test_ending_while_a_thread_writes_waits_for_it(top: Path) -> None:
    async def use(writing: Writing) -> None:
        incoming = await writing.receive(parse_os_path("new"))
        piece = [bytes(1 << 20)] * 64
        writes = asyncio.create_task(incoming.pool.run(lambda: incoming.write(piece)))
        await asyncio.sleep(0)
        await incoming.pool.run(incoming.abort)
        await asyncio.wait([writes])
        error = writes.exception()
        assert error is None or isinstance(error, ValueError)

    on_storage(top, use)
    assert not (top / "new").exists()


def test_a_name_that_is_begun_too_late_leaves_no_descriptor(top: Path) -> None:
    # That nothing is left open is what no_leaks says of every test here.
    async def use(writing: Writing) -> None:
        task = asyncio.create_task(writing.receive(Name((b"new",))))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    on_storage(top, use)


def test_what_is_filled_in_follows_what_was_held(top: Path) -> None:
    content = os.urandom(1_500_000)
    source = iter((content[3:1_000_000], content[1_000_000:]))
    arrivals: list[Arrival] = []

    def fill(buffer: memoryview) -> int:
        nonlocal rest
        rest = rest or next(source, b"")
        piece, rest = rest[: len(buffer)], rest[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)

    async def use(writing: Writing) -> None:
        incoming = await writing.receive(parse_os_path("new"))
        assert incoming.write_on([content[:1], content[1:3]], fill) == len(content) - 3
        arrivals.append(incoming.commit(NEW))

    rest = b""
    on_storage(top, use)
    assert (top / "new").read_bytes() == content
    assert arrivals[0].digests.sha256 == hashlib.sha256(content).digest()
    assert arrivals[0].digests.crc32 == zlib.crc32(content)
