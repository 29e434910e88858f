"""How the server ends: it stops accepting at once, lets transfers finish, then leaves.

A signal closes the listener and sets flags; the loop does the rest.  A call on a hung mount may
keep its thread for ever, so nothing here waits for a thread, and leave() does not let the
interpreter do so.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import FrameType
from typing import NoReturn, Protocol, cast

import uvicorn

from fileserve.standard_streams import flush_at_once

logger = logging.getLogger("fileserve.server")

# How often a drain looks whether the last transfer has ended.
DRAIN_POLL_SECONDS = 0.05
# What a cancelled transfer has for closing its file and writing its log line.
CUT_SECONDS = 1.0
# What the application has for closing what it opened.
CLOSE_SECONDS = 3.0
# Everything after the drain, as told to the service manager and the worker's parent.
FAREWELL_SECONDS = CUT_SECONDS + CLOSE_SECONDS + 1.0
HEARTBEAT_SECONDS = 1.0


class ExitCode(IntEnum):
    """How `fileserve serve` ends, for the shell."""

    DONE = 0
    FAILED = 1
    WRONG_SETTING = 2
    NOT_FOUND = 3
    NOT_PERMITTED = 5
    ADDRESS_IN_USE = 7
    INTERRUPTED = 130


class StartRefused(Exception):  # noqa: N818 - a refusal with its reason, not a fault
    """The server cannot start; the message is one sentence for the admin."""

    def __init__(self, exit_code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Urgency(Enum):
    """What a signal asks for."""

    DRAIN = "drain"
    """Stop accepting and let the transfers finish."""
    DRAIN_OR_NOW = "drain or now"
    """The same, and the second time stop now: what a person at a terminal means."""
    NOW = "now"
    """Stop now."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a server is doing at this moment."""

    transfers: int
    connections: int

    def __str__(self) -> str:
        return f"{count(self.transfers, 'transfer')}, {count(self.connections, 'connection')}"


@dataclass(frozen=True, slots=True)
class Drained:
    """How a drain ended: every transfer that ran at its begin either finished or was cut."""

    finished: int
    cut: int


class Connection(Protocol):
    """What a drain asks of a connection; delivery.zerocopy.ZeroCopyProtocol has it."""

    def shutdown(self) -> None:
        """Close when idle, else after the response that is under way."""

    def abort(self) -> None:
        """Cut at once."""


class Events(Protocol):
    """Who hears what a server does, on the server's loop: nothing in it may take long."""

    def ready(self) -> None:
        """Requests are answered from now on."""

    def alive(self, load: Load) -> None:
        """About every HEARTBEAT_SECONDS, also during the drain; silent while the loop is stuck."""

    def closed(self, load: Load) -> None:
        """The listening sockets are closed in this process; load is what the drain waits for."""

    def drained(self, drained: Drained) -> None:
        """The drain has ended, and what it left is cut."""


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def waiting_sentence(transfers: int, drain_seconds: float) -> str:
    """What the admin reads when a drain begins."""
    return (
        f"stopping: waits up to {drain_seconds:g} s for {count(transfers, 'transfer')} to finish; "
        "a second signal stops now"
    )


def drained_sentence(drained: Drained, waited_seconds: float) -> str:
    """What the admin reads when a drain has ended."""
    if drained == Drained(0, 0):
        return "stopped; no transfer was running"
    cut = f", {drained.cut} cut" if drained.cut else ""
    finished = count(drained.finished, "transfer")
    return f"stopped after {waited_seconds:.1f} s: {finished} finished{cut}"


class DrainingServer(uvicorn.Server):
    """A uvicorn server with our shutdown in place of uvicorn's.

    uvicorn's own waits without limit for cancelled tasks, raises the signal again (so that exit
    codes say "killed"), and takes 0.1 s before it closes the listener.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain_seconds: float,
        signals: Mapping[signal.Signals, Urgency],
        events: Events,
    ) -> None:
        super().__init__(config)
        self.first_signal: signal.Signals | None = None
        self.has_served = False
        self._drain_seconds = drain_seconds
        self._signals = signals
        self._events = events
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_heartbeat = float("-inf")

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Our handlers, and not given back: what comes after them is leave()."""
        for number in self._signals:
            signal.signal(number, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Takes a signal: flags for the loop, and the listener closed without waiting for them."""
        urgency = self._signals[signal.Signals(sig)]
        repeated = self.should_exit and urgency is Urgency.DRAIN_OR_NOW
        if repeated or urgency is Urgency.NOW:
            self.force_exit = True
        self.first_signal = self.first_signal or signal.Signals(sig)
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop_accepting)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if not self.should_exit:
            self.has_served = True
            self._events.ready()

    async def on_tick(self, counter: int) -> bool:
        self._beat()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends within drain_seconds + FAREWELL_SECONDS, whatever clients and mounts do."""
        self._stop_accepting()
        for listening in sockets or []:
            listening.close()
        # Once around the loop: uvloop closes its descriptors there.
        await asyncio.sleep(0)
        self._let_idle_connections_go()
        load = self._load()
        self._events.closed(load)
        await self._drain()
        left = self._load().transfers
        await self._cut()
        self._events.drained(Drained(max(load.transfers - left, 0), left))
        await self._close_application()

    def _stop_accepting(self) -> None:
        for server in getattr(self, "servers", []):
            server.close()

    def _load(self) -> Load:
        return Load(len(self.server_state.tasks), len(self.server_state.connections))

    def _beat(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._last_heartbeat >= HEARTBEAT_SECONDS:
            self._last_heartbeat = now
            self._events.alive(self._load())

    def _connections(self) -> list[Connection]:
        return [cast(Connection, connection) for connection in self.server_state.connections]

    def _let_idle_connections_go(self) -> None:
        """Closes idle connections; a busy one closes by itself after its response."""
        for connection in self._connections():
            connection.shutdown()

    async def _drain(self) -> None:
        """Waits until the last byte of the last transfer is with the kernel, within limits."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain_seconds
        while self._is_busy() and not self.force_exit and loop.time() < deadline:
            await asyncio.sleep(DRAIN_POLL_SECONDS)
            self._beat()
            # Again for those that the kernel had accepted before the listener closed.
            self._let_idle_connections_go()

    def _is_busy(self) -> bool:
        return bool(self.server_state.tasks or self.server_state.connections)

    async def _cut(self) -> None:
        """Ends what the drain left; each transfer writes its log line with the cause shutdown."""
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel("shutdown")
        if tasks:
            await asyncio.wait(tasks, timeout=CUT_SECONDS)
        for connection in self._connections():
            connection.abort()
        await asyncio.sleep(0)

    async def _close_application(self) -> None:
        try:
            await asyncio.wait_for(self.lifespan.shutdown(), CLOSE_SECONDS)
        except TimeoutError:
            logger.warning("left without closing everything: a mount does not answer")


def leave(exit_code: int) -> NoReturn:
    """Ends the process now, with everything that was printed on its way.

    The interpreter's own end would join executor threads, and one that hangs on a dead mount
    never comes back.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        flush_at_once(stream)
    os._exit(exit_code)
