"""Archives of folders that change, and of folders that many ask for at once."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.types import Message

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.archive_plans import FORMS, ArchivePlan, Planner
from fileserve.site.archives import ArchiveLimits
from storage.errors import Unavailable
from storage.local import LocalStorage
from storage.names import parse_os_path
from tests.fileserve.archives.asked import (
    LARGE,
    MIB,
    NO_LIMITS,
    Sending,
    answer,
    answers,
    ask,
    scope_of,
    with_storage,
)


def _at_large(message: Message, change: Callable[[], object], done: list[bool]) -> None:
    """Change once, while the large member is on its way."""
    if message["type"] == "http.response.zerocopysend" and not done:
        done.append(True)
        change()


MID_WAY: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "large.bin").write_bytes(LARGE[::-1]), "what-is-sent-is-rewritten"),
    (lambda folder: os.truncate(folder / "large.bin", 10), "what-is-sent-shrinks"),
    (lambda folder: (folder / "small.txt").write_text("SMALL\n"), "what-follows-is-rewritten"),
    (lambda folder: (folder / "small.txt").unlink(), "what-follows-vanishes"),
    (lambda folder: os.truncate(folder / "sub" / "holes", 5), "what-follows-shrinks"),
    (
        lambda folder: (folder / "sub" / "holes").write_bytes(b"x" * 3 * MIB),
        "what-follows-is-other",
    ),
    (lambda folder: (folder / "sub" / "holes").unlink(), "what-follows-far-behind-vanishes"),
]


@pytest.mark.parametrize("form", ["zip", "tar"])
@pytest.mark.parametrize("change", [c[0] for c in MID_WAY], ids=[c[1] for c in MID_WAY])
def test_a_member_that_changes_on_the_way_cuts_the_archive(
    root: Path, form: str, change: Callable[[Path], object]
) -> None:
    whole, done = answer(root, form).content, []  # type: tuple[bytes, list[bool]]
    sending = Sending(lambda message: _at_large(message, lambda: change(root / "set"), done))

    async def work(storage: LocalStorage) -> None:
        with pytest.raises(TransferCut) as cut:
            await ask(storage, scope_of(), form, send=sending)
        assert cut.value.cause in (EndCause.CHANGED, EndCause.SHRANK)

    with_storage(root, work)
    assert done
    assert not sending.is_complete
    # Of a file that changed before its turn came, not one byte is sent.
    until_now = whole.index(LARGE) + len(LARGE)
    assert whole[until_now:].startswith(sending.content[until_now:])


def test_a_file_that_is_added_on_the_way_does_not_matter(root: Path) -> None:
    whole, done = answer(root).content, []  # type: tuple[bytes, list[bool]]
    add = (root / "set" / "sub" / "later").write_bytes
    sending = Sending(lambda message: _at_large(message, lambda: add(b"later"), done))

    async def work(storage: LocalStorage) -> None:
        assert (await ask(storage, scope_of(), send=sending)).content == whole

    with_storage(root, work)


def test_equal_requests_that_wait_share_one_walk(root: Path) -> None:
    async def work(storage: LocalStorage) -> None:
        sent = await asyncio.gather(*(ask(storage, scope_of()) for _ in range(8)))
        assert len({one.content for one in sent}) == 1
        assert {one.status for one in sent} == {200}

    with_storage(root, work)


def test_a_client_that_leaves_does_not_end_the_walk_of_others(root: Path) -> None:
    async def work(storage: LocalStorage) -> None:
        leaving = asyncio.create_task(ask(storage, scope_of()))
        staying = asyncio.create_task(ask(storage, scope_of()))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await staying).status == 200
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert (await ask(storage, scope_of())).status == 200

    with_storage(root, work)


def test_a_request_after_a_walk_sees_what_is_there_now(root: Path) -> None:
    """Also when all who waited for an earlier walk have left in its midst."""

    async def work(storage: LocalStorage) -> None:
        leaving = asyncio.create_task(ask(storage, scope_of()))
        await asyncio.sleep(0)
        leaving.cancel()
        before = await ask(storage, scope_of("HEAD"))
        (root / "set" / "new").write_bytes(b"new")
        after = await ask(storage, scope_of("HEAD"))
        assert before.fields["etag"] != after.fields["etag"]
        with pytest.raises(asyncio.CancelledError):
            await leaving

    with_storage(root, work)


def test_limits_of_one_request_are_not_those_of_another(root: Path) -> None:
    async def work(storage: LocalStorage) -> None:
        narrow, wide = await asyncio.gather(
            ask(storage, scope_of(), limits=ArchiveLimits(members=1)), ask(storage, scope_of())
        )
        assert (narrow.status, wide.status) == (403, 200)

    with_storage(root, work)


def test_many_who_need_the_same_sums_get_them(root: Path) -> None:
    whole = answer(root).content
    directory = whole.index(b"PK\x01\x02")

    async def work(storage: LocalStorage) -> None:
        part = scope_of(range=f"bytes={directory}-")
        leaving = asyncio.create_task(ask(storage, part))
        asked = [asyncio.create_task(ask(storage, part)) for _ in range(5)]
        for _ in range(20):
            await asyncio.sleep(0)
        leaving.cancel()
        for task in asked:
            assert (await task).content == whole[directory:]
        with pytest.raises(asyncio.CancelledError):
            await leaving

    with_storage(root, work)


def test_crumbs_that_somebody_asked_for_do_not_break_the_archive(root: Path) -> None:
    """No more parts of a file are remembered than some hundred."""
    (root / "set" / "wide").touch()
    os.truncate(root / "set" / "wide", 96 * MIB)
    directory = scope_of(range="bytes=-6000")
    expected = answers(root, directory).content

    async def work(storage: LocalStorage) -> None:
        for start in range(80 * MIB, 80 * MIB + 300 * 100, 100):
            await ask(storage, scope_of(range=f"bytes={start}-{start}"))
        assert (await ask(storage, directory)).content == expected

    with_storage(root, work)


def test_a_client_that_leaves_while_it_waits_is_noticed(root: Path) -> None:
    """Nothing is read for its sums any more, and nobody waits behind it."""
    for number in range(4):
        (root / "set" / f"later-{number}").write_bytes(b"")
        os.truncate(root / "set" / f"later-{number}", 1 << 42)
        with (root / "set" / f"later-{number}").open("r+b") as file:
            file.write(LARGE)

    async def work(storage: LocalStorage) -> None:
        has_left = asyncio.Event()

        async def receive() -> Message:
            await has_left.wait()
            return {"type": "http.disconnect"}

        part = scope_of(range="bytes=-20000")  # the directory, and some zeros before it
        asyncio.get_running_loop().call_later(0.05, has_left.set)
        with pytest.raises(TransferCut) as cut:
            async with asyncio.timeout(30):
                await ask(storage, part, receive=receive)
        assert cut.value.cause is EndCause.CLIENT_GONE

    with_storage(root, work)


@pytest.mark.parametrize("seconds", [0.0, 0.001])
def test_a_client_that_leaves_before_the_head_is_noticed(root: Path, seconds: float) -> None:
    async def work(storage: LocalStorage) -> None:
        async def receive() -> Message:
            await asyncio.sleep(seconds)
            return {"type": "http.disconnect"}

        sending = Sending()
        with pytest.raises(TransferCut) as cut:
            await ask(storage, scope_of(), send=sending, receive=receive)
        assert cut.value.cause is EndCause.CLIENT_GONE
        assert not sending.messages

    for number in range(3_000):
        (root / "set" / f"{number}").touch()
    with_storage(root, work)


def test_archives_that_are_being_sent_are_bounded_in_memory(root: Path) -> None:
    """A client could hold one of each state of a folder that changes all the time."""

    async def work(storage: LocalStorage) -> None:
        planner, name = Planner(max_members_alive=20), parse_os_path("set")

        async def plan_of_a_new_state(number: int) -> ArchivePlan:
            os.utime(root / "set" / "small.txt", ns=(number, number))
            return await planner.plan(storage, name, FORMS["zip"], NO_LIMITS)

        alive = [await plan_of_a_new_state(number) for number in range(3)]  # eight members each
        with pytest.raises(Unavailable) as refused:
            await plan_of_a_new_state(3)
        assert refused.value.retry_after_seconds == 60
        del alive[0], refused
        await plan_of_a_new_state(4)

    with_storage(root, work)
