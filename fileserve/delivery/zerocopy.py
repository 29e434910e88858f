"""The uvicorn protocol: one connection's requests in order, zero-copy offered, time limits kept.

What it uses of uvicorn is private to it: ``Config.loaded_app``, ``ServerState``
and the four arguments of a protocol class.  A contract test says clearly when
they change.
"""

import asyncio
import logging
import urllib.parse
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import ClassVar, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.server import ServerState

from fileserve.delivery.exchange import Exchange, refuse
from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.delivery.request_parser import RequestHead, RequestParser
from fileserve.delivery.socket_writer import SocketWriter
from fileserve.delivery.sweeper import Sweeper, sweeper_of
from fileserve.delivery.transport_writer import TransportWriter
from fileserve.http.request_head import Refusal
from fileserve.http.target import RequestTarget

_log = logging.getLogger("fileserve.error")

# Requests are parsed in slices, so that a flood of pipelined ones waits as bytes.
_FEED_BYTES = 16 << 10
_INCOMING_HIGH_WATER_BYTES = 256 << 10
# After an early answer the rest of the request is read and dropped for a while:
# closing at once would reset the connection and could destroy the answer on its way.
_LINGER_SECONDS = 5.0
_LINGER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much and for how long a client may take."""

    header_timeout_seconds: float = 20.0
    idle_timeout_seconds: float = 60.0
    keep_alive_seconds: float = 30.0
    max_header_bytes: int = 64 << 10
    max_target_bytes: int = 16 << 10

    @property
    def tick_seconds(self) -> float:
        """How often connections are looked at: often enough for the shortest limit."""
        shortest = min(
            self.header_timeout_seconds, self.idle_timeout_seconds, self.keep_alive_seconds
        )
        return min(1.0, shortest / 4)


class _Stage(Enum):
    BETWEEN_REQUESTS = auto()
    READING_HEAD = auto()
    RESPONDING = auto()
    LINGERING = auto()
    CLOSED = auto()


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
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = RequestParser(
            self,
            max_header_bytes=self.limits.max_header_bytes,
            max_target_bytes=self.limits.max_target_bytes,
        )
        self._connection_scope: dict[str, object] = {}
        self._is_tls = False

        self._stage = _Stage.BETWEEN_REQUESTS
        self._stage_began = self._loop.time()
        self._answering: Exchange | None = None
        self._arriving: Exchange | None = None
        self._waiting: deque[tuple[Exchange, ASGIApp]] = deque()
        self._backlog = b""
        self._dropped_bytes = 0
        self._is_reading_paused = False
        self._has_peer_ended = False
        self._refuses_input = False
        self._is_draining = False
        self._acknowledged_bytes = -1
        self._moved_at = self._stage_began

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a new connection."""
        self._transport = cast(asyncio.Transport, transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        try:
            if self._is_tls:
                self.writer = TransportWriter(self._loop, self._transport)
            else:
                self.writer = SocketWriter(self._loop, transport.get_extra_info("socket"))
        except OSError as error:
            # No descriptor left: this client is turned away, the others go on.
            _log.warning("a connection was refused: %s", error)
            self.abort()
            return
        self._connection_scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "server": _address(transport.get_extra_info("sockname")),
            "client": _address(transport.get_extra_info("peername")),
            "scheme": "https" if self._is_tls else "http",
            "root_path": self._config.root_path,
        }
        self._server_state.connections.add(self)  # type: ignore[arg-type]
        self._sweeper = sweeper_of(self._server_state, self._loop)
        self._sweeper.add(self, self.limits.tick_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything; whoever is sending learns it by TransferCut."""
        self._stage = _Stage.CLOSED
        self._server_state.connections.discard(self)
        if not self._connection_scope:
            return
        self._sweeper.discard(self)
        for exchange in (self._answering, self._arriving):
            if exchange is not None:
                exchange.end(EndCause.CLIENT_GONE)
        self._waiting.clear()
        self._backlog = b""
        self.writer.close()

    def eof_received(self) -> bool | None:
        """Keep the connection for the answer when the client only ended its sending."""
        if self._is_tls:
            return None
        self._has_peer_ended = True
        return self._stage is _Stage.RESPONDING

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
        if self._refuses_input or self._stage is _Stage.LINGERING:
            self._drop(len(data))
            return
        if self._stage is _Stage.BETWEEN_REQUESTS:
            self._enter(_Stage.READING_HEAD)
        self._backlog = self._backlog + data if self._backlog else data
        self._parse_backlog()

    def _parse_backlog(self) -> None:
        """Parse, but for what lies behind a request that still waits for its turn."""
        while self._backlog and not self._waiting and not self._refuses_input:
            piece, self._backlog = self._backlog[:_FEED_BYTES], self._backlog[_FEED_BYTES:]
            self._parser.feed(piece)
        if self._waiting:
            self._pause_reading()

    # What the parser found

    def request_begins(self, head: RequestHead) -> None:
        """Answer a request in its turn."""
        exchange = self._exchange(head, keeps_alive=head.keeps_alive and not self._is_draining)
        self._queue(exchange, self._app if self._has_place() else _refuse_for_load)

    def request_refused(self, refusal: Refusal) -> None:
        """Answer a request that cannot be served, in its turn, and end the connection."""
        self._refuses_input = True
        nothing = RequestTarget(b"/", b"", None)
        head = RequestHead("1.1", b"GET", nothing, [], expects_continue=False, keeps_alive=False)
        exchange = self._exchange(head, keeps_alive=False)
        exchange.refuse(refusal)
        self._queue(exchange, self._app)

    def content_received(self, content: bytes) -> None:
        """Hand over content of the request that began last."""
        exchange = self._arriving
        if exchange is None or exchange.is_ended:
            self._drop(len(content))
            return
        exchange.add_content(content)
        if exchange.incoming_bytes > _INCOMING_HIGH_WATER_BYTES:
            self._pause_reading()

    def content_malformed(self, refusal: Refusal) -> None:
        """Refuse the request that began last, or cut it when its answer has begun."""
        self._refuses_input = True
        exchange = self._arriving
        if exchange is not None and not exchange.is_ended and not exchange.refuse(refusal):
            exchange.cut(EndCause.CLIENT_GONE)

    def request_ends(self) -> None:
        """Take note that the request that began last is complete."""
        if self._arriving is not None:
            self._arriving.end_content()

    def protocol_switch_ignored(self) -> None:
        """End the connection after the answer: what follows may be in the new protocol."""
        self._refuses_input = True
        self._backlog = b""
        if self._arriving is not None:
            self._arriving.keeps_alive = False

    def _has_place(self) -> bool:
        limit = self._config.limit_concurrency
        return limit is None or len(self._server_state.connections) <= limit

    def _exchange(self, head: RequestHead, *, keeps_alive: bool) -> Exchange:
        extensions: dict[str, object] = {}
        if not self._is_tls:
            extensions["http.response.zerocopysend"] = {}
            extensions["http.response.pathsend"] = {}
        root_path = self._config.root_path
        scope: Scope = {
            **self._connection_scope,
            "http_version": head.version,
            "method": head.method.decode("latin-1"),
            "path": root_path + _decoded(head.target.raw_path),
            "raw_path": root_path.encode() + head.target.raw_path,
            "query_string": head.target.query,
            "headers": head.fields,
            "state": self._app_state.copy(),
            "extensions": extensions,
        }
        exchange = Exchange(
            self, scope, expects_continue=head.expects_continue, keeps_alive=keeps_alive
        )
        extensions["fileserve.exchange"] = exchange
        return exchange

    # Answers in order

    def _queue(self, exchange: Exchange, app: ASGIApp) -> None:
        self._arriving = exchange
        if self._answering is None:
            self._answer(exchange, app)
        else:
            self._waiting.append((exchange, app))

    def _answer(self, exchange: Exchange, app: ASGIApp) -> None:
        self._answering = exchange
        self._acknowledged_bytes = -1
        self._enter(_Stage.RESPONDING)
        task = self._loop.create_task(exchange.run(app))
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)

    def default_fields(self) -> bytes:
        """Return the encoded Date and Server fields; uvicorn renews their list each second."""
        return _encoded_fields(self._server_state)

    def exchange_ended(self, exchange: Exchange) -> None:
        """Start the next request, wait for one, or close."""
        self._server_state.total_requests += 1
        self._answering = None
        if self._stage is _Stage.CLOSED:
            return
        if self._is_draining or not exchange.keeps_alive:
            self._end(exchange)
        elif self._waiting:
            self._answer(*self._waiting.popleft())
            self._resume_parsing()
        elif self._backlog:
            self._enter(_Stage.READING_HEAD)
            self._resume_parsing()
        elif self._has_peer_ended:
            self._close()
        else:
            is_open = self._parser.is_head_open
            self._enter(_Stage.READING_HEAD if is_open else _Stage.BETWEEN_REQUESTS)
            self.resume_reading()

    def _resume_parsing(self) -> None:
        if not self._waiting and self._backlog:
            # Not from here: the exchange that ended is still on the stack.
            self._loop.call_soon(self._parse_backlog)
        self.resume_reading()

    def _end(self, exchange: Exchange) -> None:
        """Close; while the client may still be sending, read and drop for a moment first."""
        may_send_more = self._refuses_input or self._backlog or not exchange.has_whole_request
        self._waiting.clear()
        self._backlog = b""
        if self._has_peer_ended or self._is_tls or not may_send_more:
            self._close()
            return
        self._enter(_Stage.LINGERING)
        self.writer.end_output()
        self.resume_reading()

    def _drop(self, length: int) -> None:
        self._dropped_bytes += length
        if self._dropped_bytes > _LINGER_BYTES and self._stage is not _Stage.RESPONDING:
            self._close()

    def _close(self) -> None:
        self._stage = _Stage.CLOSED
        self._transport.close()

    def abort(self) -> None:
        """Cut the connection at once: a client must not take what it has for the whole."""
        self._stage = _Stage.CLOSED
        self._transport.abort()

    def _pause_reading(self) -> None:
        if not self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the socket again, unless requests already wait for their turn."""
        if not self._is_reading_paused or self._waiting or self._transport.is_closing():
            return
        self._is_reading_paused = False
        if not self._has_peer_ended:
            self._transport.resume_reading()

    # Time

    def _enter(self, stage: _Stage) -> None:
        self._stage = stage
        self._stage_began = self._moved_at = self._loop.time()

    def look(self, now: float) -> None:
        """Enforce the limits."""
        lasted = now - self._stage_began
        if self._stage is _Stage.RESPONDING:
            self._look_at_transfer(now)
        elif self._stage is _Stage.BETWEEN_REQUESTS:
            if lasted > self.limits.keep_alive_seconds:
                self._close()
        elif self._stage is _Stage.READING_HEAD:
            if lasted > self.limits.header_timeout_seconds:
                detail = f"The head took more than {self.limits.header_timeout_seconds:g} seconds."
                self.request_refused(Refusal(408, "Request Timeout", detail))
        elif self._stage is _Stage.LINGERING and lasted > _LINGER_SECONDS:
            self._close()

    def _look_at_transfer(self, now: float) -> None:
        """Cut a reader that takes nothing; one that takes little is left alone.

        What counts is what the peer's kernel acknowledged: the socket's own
        buffer hides minutes of a slow reader's progress.
        """
        exchange = self._answering
        if exchange is None or not self.writer.is_blocked:
            self._moved_at = now
            return
        acknowledged_bytes = self.writer.acknowledged_bytes()
        if acknowledged_bytes != self._acknowledged_bytes:
            self._acknowledged_bytes = acknowledged_bytes
            self._moved_at = now
        elif now - self._moved_at > self.limits.idle_timeout_seconds:
            exchange.cut(EndCause.STALLED)
            self.writer.cut(TransferCut(EndCause.STALLED))

    def shutdown(self) -> None:
        """Take no more requests (uvicorn's graceful stop): idle connections close now."""
        self._is_draining = True
        if self._answering is not None:
            self._answering.keeps_alive = False
        elif self._stage is not _Stage.LINGERING:
            self._close()


def protocol_class(limits: Limits) -> type[ZeroCopyProtocol]:
    """Return a protocol class with these limits, for uvicorn's ``http`` setting."""
    return type("LimitedZeroCopyProtocol", (ZeroCopyProtocol,), {"limits": limits})


async def _refuse_for_load(scope: Scope, receive: Receive, send: Send) -> None:
    fields = [(b"retry-after", b"5")]
    await refuse(send, HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections.", fields)


def _decoded(raw_path: bytes) -> str:
    """Return the path as ASGI wants it, decoded; files are named by raw_path instead."""
    if b"%" in raw_path or not raw_path.isascii():
        return urllib.parse.unquote_to_bytes(raw_path).decode("utf-8", "replace")
    return raw_path.decode("ascii")


def _address(name: object) -> tuple[str, int | None] | None:
    """Return host and port of getpeername or getsockname; a Unix socket's path has no port."""
    if isinstance(name, tuple):
        return (str(name[0]), int(name[1]))
    if isinstance(name, str) and name:
        return (name, None)
    return None


_encoded_of: tuple[list[tuple[bytes, bytes]], bytes] = ([], b"")


def _encoded_fields(server_state: ServerState) -> bytes:
    """Encode uvicorn's default fields once for each list that it makes."""
    global _encoded_of  # noqa: PLW0603 - one entry, replaced each second
    fields, encoded = _encoded_of
    if fields is not server_state.default_headers:
        fields = server_state.default_headers
        encoded = b"".join(b"%b: %b\r\n" % field for field in fields)
        _encoded_of = (fields, encoded)
    return encoded
