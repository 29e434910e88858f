"""However the short way of a plain request ends, its file is closed once, its line is written."""

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fileserve.delivery.body import OpenFile, Slice, body_of
from fileserve.delivery.direct import DirectExchange
from fileserve.delivery.file_pump import WINDOW_BYTES
from fileserve.delivery.plan import Plan
from fileserve.delivery.response_head import Persistence
from fileserve.delivery.time_limits import Limits
from tests.fileserve.delivery.short_way import (
    LARGE_BYTES,
    Connected,
    Run,
    ThroughAsgi,
    access_lines,
    get,
    open_files,
    serving,
    until,
)


def test_many_ranges_do_not_go_out_in_one_turn(root: Path) -> None:
    with (root / "large.bin").open("rb") as file:
        opened = Opened(file.fileno())
        spans = range(0, LARGE_BYTES, 256 << 10)
        body = body_of([Slice(opened, start, start + (256 << 10)) for start in spans])
        writer, delivery = Taking(), Ended(Plan(206, (), (), body))
        exchange = DirectExchange(Alone(), writer, delivery, b"head", Persistence.CLOSE)
        assert not exchange.send_now()
        assert WINDOW_BYTES <= writer.bytes_written <= 2 * WINDOW_BYTES
        asyncio.run(exchange.finish())
        assert (writer.bytes_written, delivery.ends) == (LARGE_BYTES + len(b"head"), 1)


# Whatever happens, the file is closed once and the line is written


def cut_line(lines: list[str]) -> tuple[str, int]:
    """How the one download ended, and how many bytes of it were sent."""
    (line,) = lines
    _, _, target, status, _, sent, cause = line.split()
    assert (target, status) == ("/large.bin", "200")
    return cause, int(sent)


async def begun(client: Connected) -> None:
    """A large download, in its midst."""
    client.writer.write(get(target=b"/large.bin"))
    await client.reader.readuntil(b"\r\n\r\n")


def test_a_reader_that_stalls_is_cut(root: Path, run: Run) -> None:
    async def stall() -> None:
        limits = Limits(idle_timeout_seconds=0.2)
        async with (
            serving(root, limits=limits) as service,
            service.connected(has_small_buffers=True) as client,
        ):
            await begun(client)
            assert open_files(root) or lines
            await until(lambda: lines)
            assert open_files(root) == []
            assert len(await client.rest()) < LARGE_BYTES

    with access_lines() as lines:
        run(stall())
    cause, sent = cut_line(lines)
    assert cause == "stalled"
    assert 0 < sent < LARGE_BYTES


def test_a_client_that_resets_in_the_midst_is_gone(root: Path, run: Run) -> None:
    async def vanish() -> None:
        async with serving(root) as service, service.connected(has_small_buffers=True) as client:
            await begun(client)
            client.writer.transport.abort()
            await until(lambda: lines)
            assert open_files(root) == []

    with access_lines() as lines:
        run(vanish())
    cause, sent = cut_line(lines)
    assert cause == "client-gone"
    assert 0 < sent < LARGE_BYTES


def test_a_file_that_shrinks_in_the_midst_is_cut(root: Path, run: Run) -> None:
    async def shrink() -> None:
        async with serving(root) as service, service.connected(has_small_buffers=True) as client:
            await begun(client)
            with (root / "large.bin").open("r+b") as file:
                file.truncate(0)
            assert len(await client.rest()) < LARGE_BYTES

    with access_lines() as lines:
        run(shrink())
    assert cut_line(lines)[0] == "shrank"
    assert open_files(root) == []


@pytest.mark.parametrize("moment", ["before the first step", "in the midst"])
def test_a_shutdown_cuts_what_is_left(root: Path, run: Run, moment: str) -> None:
    async def stop() -> None:
        async with serving(root) as service, service.connected(has_small_buffers=True) as client:
            client.writer.write(get(target=b"/large.bin"))
            await until(lambda: service.state.tasks)
            if moment == "in the midst":
                await client.reader.readuntil(b"\r\n\r\n")
            for task in service.state.tasks:
                task.cancel("shutdown")
            assert len(await client.rest()) < LARGE_BYTES
            await until(lambda: not service.state.tasks)

    with access_lines() as lines:
        run(stop())
    assert cut_line(lines)[0] == "shutdown"
    assert open_files(root) == []


@dataclass(frozen=True)
class Opened:
    """An open file as a body wants it."""

    descriptor: int
    zero_copy: bool = True

    def fileno(self) -> int:
        return self.descriptor

    async def read(self, offset: int, length: int) -> bytes:
        raise NotImplementedError


class Faulty(Opened):
    """A file whose descriptor cannot be had."""

    def fileno(self) -> int:
        raise RuntimeError("a fault in the midst")


@dataclass
class Ended:
    """A delivery that counts how often it was ended."""

    plan: Plan
    ends: int = 0
    fault: Exception | None = None

    def begin(self, exchange: DirectExchange) -> None:
        pass

    def end(self) -> None:
        self.ends += 1
        if self.fault is not None:
            raise self.fault


class Alone:
    """A connection that nobody else uses."""

    def exchange_ended(self, exchange: DirectExchange) -> None:
        pass

    def abort(self) -> None:
        pass


@dataclass
class Taking:
    """A socket whose peer is as fast as we are: it takes all it is given, files by the window."""

    bytes_written: int = 0
    discarded: list[int] = field(default_factory=list)

    def try_write(self, buffer: bytes, flags: int) -> int:
        self.bytes_written += len(buffer)
        return len(buffer)

    def try_send_file(self, descriptor: int, offset: int, count: int) -> int:
        sent = min(count, WINDOW_BYTES)
        self.bytes_written += sent
        return sent

    async def write(self, buffer: bytes, flags: int) -> None:
        self.bytes_written += len(buffer)

    async def send_file(self, descriptor: int, offset: int, count: int) -> None:
        self.bytes_written += count

    def discard_unsent(self) -> None:
        self.discarded.append(self.bytes_written)


@dataclass
class OwnAnswers(ThroughAsgi):
    """An application that gives one delivery at once."""

    delivery: Ended

    def __post_init__(self) -> None:
        self.asked = 0

    def answer_at_once(self, request: object, client: str) -> Ended:
        return self.delivery


def plan_of(file: OpenFile, length: int = 10) -> Plan:
    own = ((b"content-length", b"%d" % length),)
    return Plan(200, own, (), body_of([Slice(file, 0, length)]))


def test_a_fault_while_sending_ends_the_delivery_and_cuts_the_connection(
    root: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    delivery = Ended(plan_of(Faulty(-1)))

    async def fail() -> None:
        async with serving(root) as service:
            service.config.loaded_app = OwnAnswers(delivery)  # type: ignore[assignment]
            async with service.connected() as client:
                client.writer.write(get())
                assert b"\r\n\r\n" not in (await client.rest()).partition(b"\r\n\r\n")[2]

    with caplog.at_level(logging.ERROR, "fileserve.error"):
        run(fail())
    assert delivery.ends == 1
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_fault_while_closing_does_not_hold_the_connection(
    root: Path, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        with (root / "facts.bin").open("rb") as file:
            delivery = Ended(plan_of(Opened(file.fileno())), fault=OSError("EIO"))
            async with serving(root) as service:
                service.config.loaded_app = OwnAnswers(delivery)  # type: ignore[assignment]
                async with service.connected() as client:
                    answers = await client.ask(get() * 2)
                    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2
            assert delivery.ends == 2

    with caplog.at_level(logging.ERROR, "fileserve.error"):
        run(fail())
    assert len(caplog.records) == 2
