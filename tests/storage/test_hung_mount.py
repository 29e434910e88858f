"""A network mount that hangs: refused in time, felt by nobody else, well again afterwards."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from storage.errors import Unavailable
from storage.local import Blob, EntryKind, LocalStorage, Sending
from storage.names import Name, parse_os_path
from tests.descriptors import open_descriptors
from tests.frozen_mount import FrozenMount, frozen_mount

DEADLINE_SECONDS = 1.0
# What must not wait for a mount takes milliseconds; what does wait takes at least until thaw().
AT_ONCE_SECONDS = 60.0
T = TypeVar("T")
FILM = parse_os_path("nas/film")

pytestmark = pytest.mark.usefixtures("opener")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A local root with a file, and a link into the mount that is not there yet."""
    top = tmp_path / "root"
    top.mkdir()
    (top / "local").write_bytes(b"local")
    (top / "alias").symlink_to("nas/film")
    return top


@pytest.fixture
def nas(top: Path) -> Iterator[FrozenMount]:
    """A network mount with one film, at /nas below the root."""
    with frozen_mount(top / "nas") as mount:
        (mount.source / "film").write_bytes(b"0123456789")
        yield mount


def new_storage(root: Path) -> LocalStorage:
    return LocalStorage(root, deadline_seconds=DEADLINE_SECONDS)


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(AT_ONCE_SECONDS):
        while not is_true():
            await asyncio.sleep(0.005)


async def answered(ask: Callable[[], Awaitable[T]]) -> T:
    """What a mount that is well answers; on a busy machine that may take longer than allowed."""
    async with asyncio.timeout(AT_ONCE_SECONDS):
        while True:
            try:
                return await ask()
            except Unavailable as error:
                if "no answer within" not in str(error):
                    raise


async def refused_without_a_try(storage: LocalStorage, name: Name) -> Unavailable:
    """The refusal of an open breaker; once in five seconds it lets a probe through."""
    for _ in range(10):
        with pytest.raises(Unavailable) as caught:
            await storage.open(name)
        if "nas: does not answer" in str(caught.value):
            return caught.value
    raise AssertionError(str(caught.value))


async def recovered(storage: LocalStorage, name: Name) -> Blob:
    async with asyncio.timeout(AT_ONCE_SECONDS):
        while True:
            try:
                return await storage.open(name)
            except Unavailable:
                await asyncio.sleep(0.01)


def test_a_network_mount_is_read_in_chunks_in_its_own_pool(top: Path, nas: FrozenMount) -> None:
    async def scenario() -> None:
        storage = LocalStorage(top, deadline_seconds=AT_ONCE_SECONDS)
        storage.mounts()  # opens the table of mounts
        before = open_descriptors()
        for path in ("nas/film", "alias"):
            blob = await storage.open(parse_os_path(path))
            assert not blob.zero_copy
            assert [await blob.read(0, 4), await blob.read(8, 9), await blob.read(10, 1)] == [
                b"0123", b"89", b"",
            ]  # fmt: skip
            await blob.close()
        (batch,) = [batch async for batch in storage.list(Name((b"nas",)))]
        assert [(entry.segment, entry.size) for entry in batch] == [(b"film", 10)]
        (_, report) = storage.mounts()
        assert (report.name, report.fs_type) == (Name((b"nas",)), "fuse.sshfs")
        assert (report.is_network, report.sending) == (True, Sending.CHUNKED)
        assert report.is_available
        await until(lambda: open_descriptors() <= before)
        await storage.close()

    asyncio.run(scenario())


def test_eight_opens_on_a_hung_mount_hold_up_nobody_else(top: Path, nas: FrozenMount) -> None:
    async def scenario() -> None:
        storage = new_storage(top)
        with frozen_mount(top / "other") as other:
            (other.source / "film").write_bytes(b"other")
            nas.freeze()
            stuck = [asyncio.create_task(storage.open(FILM)) for _ in range(8)]
            await asyncio.sleep(0)
            for path, content in (("local", b"local"), ("other/film", b"other")):
                blob = await answered(partial(storage.open, parse_os_path(path)))
                assert await answered(partial(blob.read, 0, 9)) == content
                await blob.close()
            answers = await asyncio.gather(*stuck, return_exceptions=True)
            assert [type(answer) for answer in answers] == [Unavailable] * 8
            # Three timeouts opened the breaker: the next one is refused without a try.
            refusal = await refused_without_a_try(storage, parse_os_path("alias"))
            assert refusal.retry_after_seconds >= 1
            reports = {report.name.display: report.is_available for report in storage.mounts()}
            assert reports == {"/": True, "nas": False, "other": True}
            nas.thaw()
            blob = await recovered(storage, FILM)
            assert await answered(partial(blob.read, 0, 4)) == b"0123"
            await blob.close()
            await until(lambda: all(report.is_available for report in storage.mounts()))
            # Its pool has closed what it opened too late, so that it can be unmounted.
        await storage.close()

    asyncio.run(scenario())


def test_what_was_opened_too_late_is_closed(top: Path, nas: FrozenMount) -> None:
    async def scenario() -> None:
        storage = new_storage(top)
        await (await answered(partial(storage.open, FILM))).close()
        await until(lambda: not is_any_open_on(nas.point))
        nas.freeze()
        opens = [storage.open(FILM) for _ in range(3)]
        lists = [anext(storage.list(Name((b"nas",)))) for _ in range(3)]
        answers = await asyncio.gather(*opens, *lists, return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable] * 6
        nas.thaw()
        await (await recovered(storage, FILM)).close()
        await until(lambda: not is_any_open_on(nas.point))
        await storage.close()

    asyncio.run(scenario())


def is_any_open_on(point: Path) -> bool:
    """Whether this process has anything below point open; asks the kernel's table only."""
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:
            continue
        if target == str(point) or target.startswith(f"{point}/"):
            return True
    return False


def test_a_read_on_a_hung_mount_ends_and_the_file_is_closed_after_it(
    top: Path, nas: FrozenMount
) -> None:
    (nas.source / "film").write_bytes(os.urandom(4 << 20))

    async def scenario() -> None:
        storage = new_storage(top)
        blob = await answered(partial(storage.open, FILM))
        nas.freeze()
        with pytest.raises(Unavailable):
            await blob.read(2 << 20, 1 << 20)
        async with asyncio.timeout(AT_ONCE_SECONDS):
            await blob.close()
        assert is_any_open_on(nas.point)  # a thread still reads from it
        nas.thaw()
        await until(lambda: not is_any_open_on(nas.point))
        await storage.close()

    asyncio.run(scenario())


def test_a_local_folder_with_a_hung_mount_in_it_is_listed_at_once(
    top: Path, nas: FrozenMount
) -> None:
    async def scenario() -> None:
        storage = new_storage(top)
        nas.freeze()
        async with asyncio.timeout(AT_ONCE_SECONDS):
            entries = [entry async for batch in storage.list(Name(())) for entry in batch]
        assert [(entry.segment, entry.kind, entry.size) for entry in entries] == [
            (b"nas", EntryKind.FOLDER, None),
            (b"alias", EntryKind.UNKNOWN, None),
            (b"local", EntryKind.FILE, 5),
        ]
        assert entries[0].modified_ns is None
        await storage.close()

    asyncio.run(scenario())


def test_a_hung_mount_as_root_is_unavailable_when_it_is_opened(top: Path, nas: FrozenMount) -> None:
    (nas.source / "folder").mkdir()
    nas.freeze()
    with pytest.raises(Unavailable, match="nas/folder: no answer"):
        new_storage(nas.point / "folder")


def test_a_network_root_hangs_and_recovers_in_its_pool(top: Path, nas: FrozenMount) -> None:
    async def scenario() -> None:
        storage = await answered(partial(asyncio.to_thread, new_storage, nas.point))
        name = Name((b"film",))
        assert storage.mounts()[0].is_network
        blob = await answered(partial(storage.open, name))
        assert not blob.zero_copy
        await blob.close()
        nas.freeze()
        with pytest.raises(Unavailable):
            await storage.open(name)
        nas.thaw()
        blob = await recovered(storage, name)
        assert await answered(partial(blob.read, 0, 4)) == b"0123"
        await blob.close()
        await storage.close()
        await until(lambda: not is_any_open_on(nas.point))

    asyncio.run(scenario())


def test_a_mount_that_comes_anew_gets_a_pool_of_its_own(top: Path) -> None:
    async def scenario() -> None:
        storage = new_storage(top)
        await storage.start()
        with frozen_mount(top / "nas") as old:
            (old.source / "film").write_bytes(b"old")
            old.freeze()
            for _ in range(3):
                with pytest.raises(Unavailable, match="no answer"):
                    await storage.open(FILM)
            await refused_without_a_try(storage, FILM)
            old.detach()
            with frozen_mount(top / "nas") as new:
                (new.source / "film").write_bytes(b"new")
                blob = await answered(partial(storage.open, FILM))
                assert await answered(partial(blob.read, 0, 9)) == b"new"
                await blob.close()
        await storage.close()

    asyncio.run(scenario())
