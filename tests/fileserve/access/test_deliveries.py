"""Deliveries are counted by the catalog, for all processes, and without asking it too often."""

import asyncio
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fileserve.access import deliveries
from fileserve.access.deliveries import Deliveries, Extent, LinkBusy, client_key
from fileserve.access.links import Link
from fileserve.operations.catalog_desk import CatalogDesk, CatalogPlace, Presence
from storage.catalog import Catalog

FILE = Link("filelink", (b"film.mkv",), is_folder=False, downloads=2)
FOLDER = Link("folderlink", (b"films",), is_folder=True, downloads=1)
NOW = 1_790_000_000.0
DAY = 24 * 3600


def with_processes(
    folder: Path, count: int, use: Callable[[list[Deliveries]], Awaitable[None]]
) -> None:
    """Run use with the deliveries of so many processes that share a catalog."""

    async def run() -> None:
        file = str(folder / "catalog.sqlite")
        place = CatalogPlace(f"sqlite:///{file}", file, lambda: None)
        desks = [CatalogDesk(place, Presence.MADE) for _ in range(count)]
        for desk in desks:
            await desk.start()
        try:
            await use([Deliveries(desk) for desk in desks])
        finally:
            for desk in desks:
                await desk.close()

    asyncio.run(run())


def counted(folder: Path, link: Link) -> int:
    with Catalog.open(f"sqlite:///{folder / 'catalog.sqlite'}") as catalog:
        return catalog.deliveries(link.link_id)


WHOLE, PART = Extent.WHOLE, Extent.PART


def test_clients_of_two_processes_get_as_many_deliveries_as_there_are(tmp_path: Path) -> None:
    async def use(processes: list[Deliveries]) -> None:
        claims = [
            processes[number % 2].claim(FILE, b"client-%d" % number, b"/", WHOLE, NOW)
            for number in range(20)
        ]
        assert sum(await asyncio.gather(*claims)) == 2

    with_processes(tmp_path, 2, use)
    assert counted(tmp_path, FILE) == 2


def test_what_one_process_sent_is_complete_for_the_other(tmp_path: Path) -> None:
    link = replace(FILE, downloads=1)

    async def use(processes: list[Deliveries]) -> None:
        here, there = processes
        assert await here.claim(link, b"me", b"/", WHOLE, NOW)
        here.note_sent(link, b"me", b"/", 1000, 1000, NOW)
        await here._desk.ask(lambda catalog: None, 60)  # what was submitted before is done
        assert await there.claim(link, b"me", b"/", PART, NOW)
        assert not await there.claim(link, b"me", b"/", WHOLE, NOW)

    with_processes(tmp_path, 2, use)


def test_a_file_of_a_folder_that_was_had_is_a_new_delivery(tmp_path: Path) -> None:
    link = replace(FOLDER, downloads=2)

    async def use(processes: list[Deliveries]) -> None:
        (here,) = processes

        async def has_all_of(target: bytes) -> bool:
            is_let_in = await here.claim(link, b"me", target, WHOLE, NOW)
            here.note_sent(link, b"me", target, 1000, 1000, NOW)
            return is_let_in

        assert [await has_all_of(target) for target in (b"/a", b"/b")] == [True, True]
        # Once more begins the second one, to which the other file belongs as well.
        assert [await has_all_of(target) for target in (b"/a", b"/b")] == [True, True]
        assert not await has_all_of(b"/a")

    with_processes(tmp_path, 1, use)
    assert counted(tmp_path, link) == 2


def test_a_delivery_goes_on_while_requests_come_within_a_day(tmp_path: Path) -> None:
    link = replace(FILE, downloads=1)

    async def use(processes: list[Deliveries]) -> None:
        (here,) = processes
        for days in (0.0, 0.9, 1.8, 2.7):
            assert await here.claim(link, b"me", b"/", PART, NOW + days * DAY)
        assert not await here.claim(link, b"me", b"/", PART, NOW + 3.8 * DAY)

    with_processes(tmp_path, 1, use)


def test_parts_that_make_the_whole_complete_a_delivery(tmp_path: Path) -> None:
    async def use(processes: list[Deliveries]) -> None:
        (here,) = processes
        for sent in (400, 599):
            assert await here.claim(FILE, b"me", b"/", PART, NOW)
            here.note_sent(FILE, b"me", b"/", sent, 1000, NOW)
        assert await here.claim(FILE, b"me", b"/", WHOLE, NOW)
        here.note_sent(FILE, b"me", b"/", 1, 1000, NOW)
        assert await here.claim(FILE, b"me", b"/", WHOLE, NOW)
        here.note_sent(FILE, b"me", b"/", 1000, 1000, NOW)
        assert not await here.claim(FILE, b"me", b"/", WHOLE, NOW)

    with_processes(tmp_path, 1, use)
    assert counted(tmp_path, FILE) == 2


def test_what_one_client_asks_for_does_not_fill_the_memory(tmp_path: Path) -> None:
    link = replace(FOLDER, downloads=None)

    async def use(processes: list[Deliveries]) -> None:
        (here,) = processes
        tracemalloc.start()
        for number in range(2_000):
            target = b"/?archive=zip&" + b"%d" % number + bytes(5_000)
            for sent in (1, 9):
                here.note_sent(link, b"me", target, sent, 10, NOW)
            here.note_sent(link, b"me", target + b"partly", 1, 10, NOW)
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # 20 MB of targets were named.
        assert kept < 1_000_000

    with_processes(tmp_path, 1, use)


def test_a_flood_by_one_link_does_not_keep_another_one_from_its_limit(tmp_path: Path) -> None:
    flooded = replace(FILE, link_id="flooded", downloads=None)

    async def use(processes: list[Deliveries]) -> None:
        (here,) = processes
        assert await here.claim(replace(FILE, downloads=1), b"me", b"/", WHOLE, NOW)
        for number in range(2_000):
            assert await here.claim(flooded, b"client-%d" % number, b"/", WHOLE, NOW)
        # About a second of work would be before this.
        assert here._desk._queue.qsize() <= 100
        assert not await here.claim(replace(FILE, downloads=1), b"you", b"/", WHOLE, NOW)

    with_processes(tmp_path, 1, use)


def test_a_crowd_that_would_wait_too_long_does_not_lift_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = replace(FILE, downloads=1)

    async def use(processes: list[Deliveries]) -> None:
        (here,) = processes
        assert await here.claim(link, b"me", b"/", WHOLE, NOW)
        is_over = threading.Event()
        for _ in range(150):
            here._desk.submit(lambda catalog: is_over.wait(60))
        monkeypatch.setattr(deliveries, "_ASK_SECONDS", 0.5)
        try:
            with pytest.raises(LinkBusy):
                await here.claim(link, b"you", b"/", WHOLE, NOW)
            # Who has a delivery goes on with it.
            assert await here.claim(link, b"me", b"/", PART, NOW + 1)
        finally:
            is_over.set()

    with_processes(tmp_path, 1, use)


def test_an_empty_file_is_complete_at_once(tmp_path: Path) -> None:
    link = replace(FILE, downloads=1)

    async def use(processes: list[Deliveries]) -> None:
        (here,) = processes
        assert await here.claim(link, b"me", b"/", WHOLE, NOW)
        here.note_sent(link, b"me", b"/", 0, 0, NOW)
        assert not await here.claim(link, b"me", b"/", WHOLE, NOW)

    with_processes(tmp_path, 1, use)


def test_a_player_that_seeks_does_not_ask_the_catalog_each_time(tmp_path: Path) -> None:
    async def use(processes: list[Deliveries]) -> None:
        (here,) = processes
        assert await here.claim(FILE, b"me", b"/", PART, NOW)
        await here._desk.close()
        (tmp_path / "catalog.sqlite").unlink()
        assert await here.claim(FILE, b"me", b"/", PART, NOW + 59)

    with_processes(tmp_path, 1, use)
    assert counted(tmp_path, FILE) == 0


def test_a_link_without_a_limit_is_counted_and_refuses_nobody(tmp_path: Path) -> None:
    link = replace(FOLDER, downloads=None)

    async def use(processes: list[Deliveries]) -> None:
        (here,) = processes
        for number in range(5):
            assert await here.claim(link, b"client-%d" % number, b"/", WHOLE, NOW)
            for _ in range(3):
                here.note_sent(link, b"client-%d" % number, b"/", 10, 10, NOW)
                assert await here.claim(link, b"client-%d" % number, b"/", WHOLE, NOW + 0.5)

    with_processes(tmp_path, 1, use)
    assert counted(tmp_path, link) == 5


def test_the_first_address_keeps_the_link(tmp_path: Path) -> None:
    async def use(processes: list[Deliveries]) -> None:
        here, there = processes
        assert await here.is_first_client(FILE, b"\1\2\3\4", NOW)
        assert not await there.is_first_client(FILE, b"\1\2\3\5", NOW)
        assert await there.is_first_client(FILE, b"\1\2\3\4", NOW + 400 * DAY)
        assert not await here.is_first_client(FILE, b"\1\2\3\5", NOW + 400 * DAY)

    with_processes(tmp_path, 2, use)
    assert counted(tmp_path, FILE) == 0


def test_without_a_catalog_everybody_may(tmp_path: Path) -> None:
    async def run() -> None:
        desk = CatalogDesk(None, Presence.LOOKED_FOR)
        await desk.start()
        here = Deliveries(desk)
        for number in range(5):
            assert await here.claim(FILE, b"client-%d" % number, b"/", WHOLE, NOW)
        assert await here.is_first_client(FILE, b"\1\2\3\4", NOW)
        await desk.close()

    asyncio.run(run())


CLIENTS = [
    # one address        another              same  id
    ("192.0.2.7",        "192.0.2.7",         True,  "same"),
    ("192.0.2.7",        "::ffff:192.0.2.7",  True,  "mapped-ipv4"),
    ("192.0.2.7",        "192.0.2.8",         False, "other-ipv4"),
    ("2001:db8::1",      "2001:db8::ffff:2",  True,  "same-network"),
    ("2001:db8:0:1::1",  "2001:db8:0:2::1",   False, "other-network"),
    ("",                 "",                  True,  "unix-socket"),
    ("",                 "192.0.2.7",         False, "none-and-one"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other", "same"), [row[:3] for row in CLIENTS], ids=[row[3] for row in CLIENTS]
)
def test_a_client_is_a_network_and_a_program(one: str, other: str, same: bool) -> None:
    assert (client_key(one, b"curl/8") == client_key(other, b"curl/8")) == same
    assert client_key(one, b"curl/8") != client_key(one, b"curl/9")
    assert one.encode() not in client_key(one, b"curl/8") or not one
