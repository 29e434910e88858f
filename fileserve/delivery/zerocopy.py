"""The uvicorn protocol: one connection from its begin to its end, its time limits kept.

What it uses of uvicorn is private to it: ``Config.loaded_app``, ``ServerState``
and the four arguments of a protocol class.  A contract test says clearly when
they change.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from functools import lru_cache
from typing import ClassVar, cast

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.server import ServerState

from fileserve.delivery.content_socket import ContentSocket
from fileserve.delivery.crowd import TURNED_AWAY_AT_ONCE, refuse_for_load, warn_of_crowd
from fileserve.delivery.direct import DirectExchange
from fileserve.delivery.exchange import Exchange
from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.delivery.scopes import connection_scope
from fileserve.delivery.socket_writer import SocketWriter
from fileserve.delivery.sweeper import Sweeper, sweeper_of
from fileserve.delivery.time_limits import Limits, Stage, Watch
from fileserve.delivery.transport_writer import TransportWriter
from fileserve.delivery.turns import Turns
from fileserve.http.request_head import Refusal
from fileserve.http.validators import format_http_date

_log = logging.getLogger("fileserve.error")

# What a client may go on sending after an early answer.
_LINGER_BYTES = 1 << 20


class ZeroCopyProtocol(asyncio.Protocol):
    """An HTTP/1.1 connection (RFC 9112) that sends files by sendfile(2).

    The extensions ``http.response.zerocopysend`` and ``http.response.pathsend``
    are in the scope of plain connections.  ``limits`` belong to the class:
    see ``protocol_class``.
    """

    limits: ClassVar[Limits] = Limits()
    writer: SocketWriter | TransportWriter
    _transport: asyncio.Transport
    _sweeper: Sweeper

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self._config = config
        self._app = cast(ASGIApp, config.loaded_app)
        self._server_state = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._turns = Turns(self, app_state, self.limits)
        self._inlet = self._turns.inlet
        self.watch = Watch(self.limits, self._loop.time())
        self._is_open = False
        self._has_place = True
        self._dropped_bytes = 0
        self.is_tls = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a new connection."""
        self._transport = self._inlet.transport = cast(asyncio.Transport, transport)
        self.is_tls = transport.get_extra_info("sslcontext") is not None
        if not self._is_admitted():
            self.abort()
            return
        try:
            if self.is_tls:
                self.writer = TransportWriter(self._loop, self._transport)
            else:
                self.writer = SocketWriter(self._loop, transport.get_extra_info("socket"))
        except OSError as error:
            # No descriptor left: this client is turned away, the others go on.
            _log.warning("a connection was refused: %s", error)
            self.abort()
            return
        scope = connection_scope(transport, self._config.root_path)
        self._turns.open(scope, self._app if self._has_place else refuse_for_load)
        self._configured_fields = _encoded_fields(tuple(self._config.encoded_headers))
        self._is_open = True
        self._server_state.connections.add(self)  # type: ignore[arg-type]
        self._sweeper = sweeper_of(self._server_state, self._loop)
        self._sweeper.add(self, self.limits.tick_seconds)

    def _is_admitted(self) -> bool:
        """Judge once whether there is a place: those who are there must not suffer from newcomers.

        A few above the limit are told so, within a moment; the rest is closed.
        """
        limit = self._config.limit_concurrency
        if limit is None or len(self._server_state.connections) < limit:
            return True
        self._has_place = False
        self.watch = Watch(self.limits.for_turning_away(), self._loop.time())
        warn_of_crowd(limit, self._loop.time())
        return len(self._server_state.connections) < limit + TURNED_AWAY_AT_ONCE

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything; whoever is sending learns it by TransferCut."""
        self.enter(Stage.CLOSED)
        self._server_state.connections.discard(self)
        if not self._is_open:
            return
        self._sweeper.discard(self)
        self._turns.lose()
        self.writer.close()

    def eof_received(self) -> bool | None:
        """Keep the connection for the answer when the client only ended its sending."""
        if self.is_tls:
            return None
        self._inlet.has_peer_ended = True
        arriving = self._turns.arriving
        is_whole = arriving is not None and arriving.has_whole_request
        return self.watch.stage is Stage.RESPONDING and is_whole

    def pause_writing(self) -> None:
        """Take note that the transport's buffer is full (TLS only)."""
        if isinstance(self.writer, TransportWriter):
            self.writer.pause()

    def resume_writing(self) -> None:
        """Take note that the transport's buffer has room (TLS only)."""
        if isinstance(self.writer, TransportWriter):
            self.writer.resume()

    def data_received(self, data: bytes) -> None:
        """Parse what came in, as far as it may be answered now."""
        inlet, stage = self._inlet, self.watch.stage
        inlet.received_bytes += len(data)
        if inlet.is_refused or stage is Stage.LINGERING:
            self.drop(len(data))
            return
        if stage is Stage.BETWEEN_REQUESTS:
            self.enter(Stage.READING_HEAD)
        inlet.add(data)
        self._turns.go_on()

    # What exchanges and their turns call

    @property
    def has_peer_ended(self) -> bool:
        """Whether the client sends nothing more; most that say so have left."""
        return self._inlet.has_peer_ended

    def default_fields(self) -> bytes:
        """Return the encoded Date and the fields of uvicorn's configuration.

        uvicorn's own list is renewed by a tick: it can be older than a
        Last-Modified, and stands still during a drain.
        """
        if not self._config.date_header:
            return self._configured_fields
        return self._configured_fields + _date_line(int(time.time()))

    def follow(self, answering: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Make a task that the server waits for when it stops."""
        task = self._loop.create_task(answering)
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)
        return task

    def exchange_ended(self, exchange: Exchange | DirectExchange) -> None:
        """Count a response that is complete: the next request may start."""
        self._server_state.total_requests += 1
        self._turns.answered(exchange)

    def resume_reading(self) -> None:
        """Let more of the request in."""
        self._turns.read_on()

    def lend_socket(self, exchange: Exchange) -> ContentSocket | None:
        """Let a thread read the content that stands in the socket, where its length is known."""
        if self.is_tls or exchange is not self._turns.arriving:
            return None
        return self._inlet.lend_socket()

    def take_back(self, lent: ContentSocket) -> None:
        """Go on behind the content that was read."""
        self._inlet.take_back(lent)

    def drop(self, length: int) -> None:
        """Take note that the client sent what nobody reads; too much of it ends the connection."""
        self._dropped_bytes += length
        if self._dropped_bytes > _LINGER_BYTES and self.watch.stage is not Stage.RESPONDING:
            self.close()

    def linger(self) -> None:
        """End our output, and for a moment drop what the client still sends."""
        self.enter(Stage.LINGERING)
        self.writer.end_output()

    def close(self) -> None:
        """Close, when what was written has been sent."""
        self.enter(Stage.CLOSED)
        self._transport.close()

    def abort(self) -> None:
        """Cut the connection at once: a client must not take what it has for the whole."""
        self.enter(Stage.CLOSED)
        self._transport.abort()

    # Time

    def enter(self, stage: Stage) -> None:
        """Take note of what the connection does from now on."""
        self.watch.enter(stage, self._loop.time())

    def look(self, now: float) -> None:
        """Enforce the limits."""
        if self.watch.stage is Stage.RESPONDING:
            answering = self._turns.answering
            if self.watch.is_stalled(now, self._progress()) and answering is not None:
                answering.cut(EndCause.STALLED)
                self.writer.cut(TransferCut(EndCause.STALLED))
        elif not self.watch.is_overdue(now):
            return
        elif self.watch.stage is Stage.READING_HEAD:
            detail = f"The head took more than {self.limits.header_timeout_seconds:g} seconds."
            self._turns.request_refused(Refusal(408, "Request Timeout", detail), b"GET")
        else:
            self.close()

    def _progress(self) -> tuple[int, int] | None:
        """Return what the client took and sent so far; None when it has nothing to do.

        What counts is what the peer's kernel acknowledged: the socket's own
        buffer hides minutes of a slow reader's progress.  What it sends counts
        only while nothing waits to be taken: it says nothing of this answer.
        """
        exchange = self._turns.answering
        # Not read from, a client can send nothing: a slow disk is not its fault.
        is_our_turn = exchange is not None and (exchange.has_whole_request or self._inlet.is_paused)
        if exchange is None or (is_our_turn and not self.writer.is_blocked):
            return None
        received_bytes = 0 if self.writer.is_blocked else self._inlet.received_bytes
        return (self.writer.acknowledged_bytes(), received_bytes)

    def shutdown(self) -> None:
        """Take no more requests (uvicorn's graceful stop): idle connections close now."""
        self._turns.drain()
        is_idle = self._turns.answering is None and self.watch.stage is not Stage.LINGERING
        if is_idle and not self._inlet.backlog:
            # Where there is more, the next answer says that it is the last.
            self.close()


def protocol_class(limits: Limits) -> type[ZeroCopyProtocol]:
    """Return a protocol class with these limits, for uvicorn's ``http`` setting."""
    return type("LimitedZeroCopyProtocol", (ZeroCopyProtocol,), {"limits": limits})


@lru_cache(maxsize=2)
def _date_line(now: int) -> bytes:
    return b"date: %b\r\n" % format_http_date(now).encode()


@lru_cache(maxsize=8)
def _encoded_fields(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields)
