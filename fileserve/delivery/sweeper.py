"""Looks at all connections of a server a few times a second: one timer instead of one for each."""

import asyncio
import logging
from typing import Protocol
from weakref import WeakKeyDictionary

from uvicorn.server import ServerState

_log = logging.getLogger("fileserve.error")


class Watched(Protocol):
    """A connection with time limits."""

    def look(self, now: float) -> None:
        """Enforce the limits; now is the loop's time in seconds."""

    def abort(self) -> None:
        """Cut the connection."""


class Sweeper:
    """Calls ``look`` on the connections of one server while there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._connections: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._has_waited = False

    def add(self, connection: Watched, tick_seconds: float) -> None:
        """Look at ``connection`` every ``tick_seconds`` (those of the first one hold)."""
        self._connections.add(connection)
        if self._timer is None:
            self._sweep_after(tick_seconds)

    def discard(self, connection: Watched) -> None:
        """Stop looking at ``connection``."""
        self._connections.discard(connection)

    def _sweep_after(self, tick_seconds: float) -> None:
        due = self._loop.time() + tick_seconds
        self._timer = self._loop.call_at(due, self._sweep, tick_seconds, due)

    def _sweep(self, tick_seconds: float, due: float) -> None:
        self._timer = None
        now = self._loop.time()
        # A loop that stood still (a paused machine, a stopped process) reads first what came
        # meanwhile: its clients were in time.  Not twice in a row, or limits would mean nothing.
        if now - due > tick_seconds and not self._has_waited:
            self._has_waited = True
            self._sweep_after(tick_seconds)
            return
        self._has_waited = False
        for connection in tuple(self._connections):
            try:
                connection.look(now)
            except Exception:  # noqa: BLE001 - one connection's fault must not end the limits of all
                _log.exception("a connection could not be looked at")
                self._connections.discard(connection)
                connection.abort()
        if self._connections:
            self._sweep_after(tick_seconds)


_sweepers: WeakKeyDictionary[ServerState, Sweeper] = WeakKeyDictionary()


def sweeper_of(server_state: ServerState, loop: asyncio.AbstractEventLoop) -> Sweeper:
    """Return the one sweeper of a server."""
    sweeper = _sweepers.get(server_state)
    if sweeper is None:
        sweeper = _sweepers[server_state] = Sweeper(loop)
    return sweeper
