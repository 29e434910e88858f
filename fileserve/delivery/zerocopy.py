"""The uvicorn protocol: one connection's requests in order, zero-copy offered, time limits kept.

What it uses of uvicorn is private to it: ``Config.loaded_app``, ``ServerState``
and the four arguments of a protocol class.  A contract test says clearly when
they change.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine
from functools import lru_cache
from typing import ClassVar, cast

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.server import ServerState

from fileserve.access.redaction import redacted
from fileserve.delivery.content_socket import ContentSocket
from fileserve.delivery.crowd import TURNED_AWAY_AT_ONCE, refuse_for_load, warn_of_crowd
from fileserve.delivery.direct import AnswerAtOnce, DirectExchange, direct_exchange
from fileserve.delivery.exchange import Exchange
from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.delivery.request_heads import RequestHead
from fileserve.delivery.request_parser import RequestParser
from fileserve.delivery.response_head import Persistence
from fileserve.delivery.scopes import EXCHANGE_EXTENSION, connection_scope, request_scope
from fileserve.delivery.socket_writer import SocketWriter
from fileserve.delivery.sweeper import Sweeper, sweeper_of
from fileserve.delivery.time_limits import Limits, Stage, Watch
from fileserve.delivery.transport_writer import TransportWriter
from fileserve.http.request_head import Refusal
from fileserve.http.target import RequestTarget
from fileserve.http.validators import format_http_date

_log = logging.getLogger("fileserve.error")

_INCOMING_HIGH_WATER_BYTES = 256 << 10
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
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = RequestParser(
            self,
            max_header_bytes=self.limits.max_header_bytes,
            max_target_bytes=self.limits.max_target_bytes,
        )
        self._connection_scope: dict[str, object] = {}
        self._is_tls = False
        self._has_place = True

        self._watch = Watch(self.limits, self._loop.time())
        self._answer_at_once: AnswerAtOnce | None = getattr(self._app, "answer_at_once", None)
        self._at_once: RequestHead | None = None
        self._answering: Exchange | DirectExchange | None = None
        self._arriving: Exchange | DirectExchange | None = None
        self._waiting: deque[tuple[Exchange, ASGIApp]] = deque()
        self._backlog = b""
        self._backlog_start = 0
        self._dropped_bytes = 0
        self._is_reading_paused = False
        self.has_peer_ended = False
        self._refuses_input = False
        self._is_draining = False
        self._received_bytes = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a new connection."""
        self._transport = cast(asyncio.Transport, transport)
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        if not self._is_admitted():
            self.abort()
            return
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
        if self._is_tls or not self._has_place:
            self._answer_at_once = None
        self._connection_scope = connection_scope(transport, self._config.root_path)
        client = self._connection_scope["client"]
        self._client = str(client[0]) if isinstance(client, tuple) else ""
        self._configured_fields = _encoded_fields(tuple(self._config.encoded_headers))
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
        self._watch = Watch(self.limits.for_turning_away(), self._loop.time())
        warn_of_crowd(limit, self._loop.time())
        return len(self._server_state.connections) < limit + TURNED_AWAY_AT_ONCE

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything; whoever is sending learns it by TransferCut."""
        self._enter(Stage.CLOSED)
        self._server_state.connections.discard(self)
        if not self._connection_scope:
            return
        self._sweeper.discard(self)
        for exchange in (self._answering, self._arriving):
            if exchange is not None:
                exchange.end(EndCause.CLIENT_GONE)
        self._waiting.clear()
        self._forget_backlog()
        self.writer.close()

    def eof_received(self) -> bool | None:
        """Keep the connection for the answer when the client only ended its sending."""
        if self._is_tls:
            return None
        self.has_peer_ended = True
        arriving = self._arriving
        is_whole = arriving is not None and arriving.has_whole_request
        return self._watch.stage is Stage.RESPONDING and is_whole

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
        self._received_bytes += len(data)
        if self._refuses_input or self._watch.stage is Stage.LINGERING:
            self._drop(len(data))
            return
        if self._watch.stage is Stage.BETWEEN_REQUESTS:
            self._enter(Stage.READING_HEAD)
        self._backlog = self._backlog[self._backlog_start :] + data if self._backlog else data
        self._backlog_start = 0
        self._parse_backlog()

    def _parse_backlog(self) -> None:
        """Parse, but for what lies behind a request that still waits for its turn.

        Nothing more is read before all of it was parsed: a client may send faster than it is
        answered, and for ever.
        """
        while self._backlog and not self._waiting and not self._refuses_input:
            self._backlog_start = self._parser.feed(self._backlog, self._backlog_start)
            if self._backlog_start == len(self._backlog):
                self._forget_backlog()
            if self._at_once is not None:
                head, self._at_once = self._at_once, None
                if self._sends_directly(head):
                    # What follows has its turn when this was sent: exchange_ended sees to it.
                    break
        if self._refuses_input:
            self._forget_backlog()
        if self._waiting or self._backlog:
            self._pause_reading()

    def _forget_backlog(self) -> None:
        self._backlog, self._backlog_start = b"", 0

    # What the parser found

    def request_begins(self, head: RequestHead) -> None:
        """Answer a request in its turn."""
        if self._may_be_answered_at_once(head):
            self._at_once = head
            return
        self._begin(head)

    def _may_be_answered_at_once(self, head: RequestHead) -> bool:
        return (
            self._answer_at_once is not None
            and self._answering is None
            and not head.has_content
            and head.target.scheme is None
        )

    def _sends_directly(self, head: RequestHead) -> bool:
        """Answer a whole request from here; or begin it the ordinary way, and return False."""
        try:
            exchange = self._direct_exchange(head)
        except Exception:  # noqa: BLE001 - a fault of ours: logged, and answered the ordinary way
            shown = redacted(head.target.raw_path)
            _log.exception("%r could not be answered at once", shown)
            exchange = None
        if exchange is None:
            self._begin(head)
            self.request_ends()
            return False
        self._answering = self._arriving = exchange
        if not exchange.send_now():
            self._enter(Stage.RESPONDING)
            # A task that is cancelled before its first step never runs.
            self._follow(exchange.finish()).add_done_callback(exchange.task_ended)
        return True

    def _direct_exchange(self, head: RequestHead) -> DirectExchange | None:
        if self._answer_at_once is None or isinstance(self.writer, TransportWriter):
            return None
        delivery = self._answer_at_once(head, self._client)
        if delivery is None:
            return None
        keeps_alive = head.keeps_alive and not self._is_draining
        persistence = Persistence.KEEP_ALIVE if keeps_alive else Persistence.CLOSE
        return direct_exchange(self, self.writer, delivery, head.version, persistence)

    def _begin(self, head: RequestHead) -> None:
        exchange = self._exchange(head, keeps_alive=head.keeps_alive and not self._is_draining)
        if head.target.scheme == b"https" and not self._is_tls:
            # RFC 9110 section 7.4: an https resource is not this connection's to give away.
            exchange.refuse(Refusal(421, "Misdirected Request", "This connection has no TLS."))
        self._queue(exchange, self._app if self._has_place else refuse_for_load)

    def request_refused(self, refusal: Refusal, method: bytes) -> None:
        """Answer a request that cannot be served, in its turn, and end the connection."""
        self._refuses_input = True
        nothing = RequestTarget(b"/", b"", None)
        head = RequestHead(
            "1.1", method, nothing, [], expects_continue=False, keeps_alive=False, has_content=False
        )
        exchange = self._exchange(head, keeps_alive=False)
        exchange.end_content()
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
        self._forget_backlog()
        if self._at_once is not None:
            self._at_once = self._at_once._replace(keeps_alive=False)
        elif self._arriving is not None:
            self._arriving.keeps_alive = False

    def _exchange(self, head: RequestHead, *, keeps_alive: bool) -> Exchange:
        extensions: dict[str, object] = {}
        if not self._is_tls:
            extensions["http.response.zerocopysend"] = {}
            extensions["http.response.pathsend"] = {}
        scope = request_scope(self._connection_scope, head, self._app_state, extensions)
        exchange = Exchange(
            self, scope, expects_continue=head.expects_continue, keeps_alive=keeps_alive
        )
        extensions[EXCHANGE_EXTENSION] = exchange
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
        self._enter(Stage.RESPONDING)
        self._follow(exchange.run(app))

    def _follow(self, answering: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(answering)
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)
        return task

    def default_fields(self) -> bytes:
        """Return the encoded Date and the fields of uvicorn's configuration.

        uvicorn's own list is renewed by a tick: it can be older than a
        Last-Modified, and stands still during a drain.
        """
        if not self._config.date_header:
            return self._configured_fields
        return self._configured_fields + _date_line(int(time.time()))

    def exchange_ended(self, exchange: Exchange | DirectExchange) -> None:
        """Start the next request, wait for one, or close."""
        self._server_state.total_requests += 1
        self._answering = None
        if self._watch.stage is Stage.CLOSED:
            return
        if self._is_draining or not exchange.keeps_alive:
            self._end(exchange)
        elif self._waiting:
            self._answer(*self._waiting.popleft())
            self._resume_parsing()
        elif self._backlog:
            self._enter(Stage.READING_HEAD)
            self._resume_parsing()
        elif self.has_peer_ended:
            self._close()
        else:
            is_open = self._parser.is_head_open
            self._enter(Stage.READING_HEAD if is_open else Stage.BETWEEN_REQUESTS)
            self.resume_reading()

    def _resume_parsing(self) -> None:
        if self._backlog and not self._waiting:
            # Not from here: the exchange that ended is still on the stack, and the other
            # connections have their turn between two requests of this one.
            self._loop.call_soon(self._parse_further)
        else:
            self.resume_reading()

    def _parse_further(self) -> None:
        if self._watch.stage is not Stage.CLOSED:
            self._parse_backlog()
            self.resume_reading()

    def _end(self, exchange: Exchange | DirectExchange) -> None:
        """Close; while the client may still be sending, read and drop for a moment first."""
        may_send_more = self._refuses_input or self._backlog or not exchange.has_whole_request
        self._waiting.clear()
        self._forget_backlog()
        if self.has_peer_ended or self._is_tls or not may_send_more:
            self._close()
            return
        self._enter(Stage.LINGERING)
        self.writer.end_output()
        self.resume_reading()

    def _drop(self, length: int) -> None:
        self._dropped_bytes += length
        if self._dropped_bytes > _LINGER_BYTES and self._watch.stage is not Stage.RESPONDING:
            self._close()

    def _close(self) -> None:
        self._enter(Stage.CLOSED)
        self._transport.close()

    def abort(self) -> None:
        """Cut the connection at once: a client must not take what it has for the whole."""
        self._enter(Stage.CLOSED)
        self._transport.abort()

    def _pause_reading(self) -> None:
        if not self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read from the socket again, unless requests already wait for their turn."""
        is_behind = self._waiting or self._backlog
        if not self._is_reading_paused or is_behind or self._transport.is_closing():
            return
        self._is_reading_paused = False
        if not self.has_peer_ended:
            self._transport.resume_reading()

    def lend_socket(self, exchange: Exchange) -> ContentSocket | None:
        """Let a thread read the content that stands in the socket, where its length is known."""
        left = self._parser.content_left
        if self._is_tls or exchange is not self._arriving or not left:
            return None
        self._pause_reading()
        if not self._is_reading_paused:
            return None
        try:
            return ContentSocket(self._transport.get_extra_info("socket").fileno(), left)
        except OSError:
            # No descriptor left: the content comes the ordinary way.
            return None

    def take_back(self, lent: ContentSocket) -> None:
        """Go on behind the content that was read."""
        self._received_bytes += lent.count_read
        self._parser.content_was_read(lent.count_read)

    # Time

    def _enter(self, stage: Stage) -> None:
        self._watch.enter(stage, self._loop.time())

    def look(self, now: float) -> None:
        """Enforce the limits."""
        if self._watch.stage is Stage.RESPONDING:
            if self._watch.is_stalled(now, self._progress()) and self._answering is not None:
                self._answering.cut(EndCause.STALLED)
                self.writer.cut(TransferCut(EndCause.STALLED))
        elif not self._watch.is_overdue(now):
            return
        elif self._watch.stage is Stage.READING_HEAD:
            detail = f"The head took more than {self.limits.header_timeout_seconds:g} seconds."
            self.request_refused(Refusal(408, "Request Timeout", detail), b"GET")
        else:
            self._close()

    def _progress(self) -> tuple[int, int] | None:
        """Return what the client took and sent so far; None when it has nothing to do.

        What counts is what the peer's kernel acknowledged: the socket's own
        buffer hides minutes of a slow reader's progress.  What it sends counts
        only while nothing waits to be taken: it says nothing of this answer.
        """
        exchange = self._answering
        # Not read from, a client can send nothing: a slow disk is not its fault.
        is_our_turn = exchange is not None and (
            exchange.has_whole_request or self._is_reading_paused
        )
        if exchange is None or (is_our_turn and not self.writer.is_blocked):
            return None
        received_bytes = 0 if self.writer.is_blocked else self._received_bytes
        return (self.writer.acknowledged_bytes(), received_bytes)

    def shutdown(self) -> None:
        """Take no more requests (uvicorn's graceful stop): idle connections close now."""
        self._is_draining = True
        if self._answering is not None:
            self._answering.keeps_alive = False
        elif self._watch.stage is not Stage.LINGERING and not self._backlog:
            # Where there is more, the next answer says that it is the last.
            self._close()


def protocol_class(limits: Limits) -> type[ZeroCopyProtocol]:
    """Return a protocol class with these limits, for uvicorn's ``http`` setting."""
    return type("LimitedZeroCopyProtocol", (ZeroCopyProtocol,), {"limits": limits})


@lru_cache(maxsize=2)
def _date_line(now: int) -> bytes:
    return b"date: %b\r\n" % format_http_date(now).encode()


@lru_cache(maxsize=8)
def _encoded_fields(fields: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields)
