"""The requests of one connection in their turn: each is answered when the one before it was."""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from typing import Protocol

from starlette.types import ASGIApp

from fileserve.access.redaction import redacted
from fileserve.delivery.direct import AnswerAtOnce, DirectExchange, direct_exchange
from fileserve.delivery.direct import Connection as DirectConnection
from fileserve.delivery.exchange import Connection as ExchangeConnection
from fileserve.delivery.exchange import Exchange
from fileserve.delivery.inlet import Inlet
from fileserve.delivery.outcomes import EndCause
from fileserve.delivery.request_heads import RequestHead
from fileserve.delivery.request_parser import RequestParser
from fileserve.delivery.response_head import Persistence
from fileserve.delivery.scopes import EXCHANGE_EXTENSION, request_scope
from fileserve.delivery.socket_writer import SocketWriter
from fileserve.delivery.time_limits import Limits, Stage, Watch
from fileserve.delivery.transport_writer import TransportWriter
from fileserve.http.request_head import Refusal
from fileserve.http.target import RequestTarget

_log = logging.getLogger("fileserve.error")

_INCOMING_HIGH_WATER_BYTES = 256 << 10


class Connection(ExchangeConnection, DirectConnection, Protocol):
    """What is needed of the protocol that has the socket and the clock."""

    @property
    def writer(self) -> SocketWriter | TransportWriter: ...

    @property
    def is_tls(self) -> bool: ...

    @property
    def watch(self) -> Watch: ...

    def enter(self, stage: Stage) -> None:
        """Take note of what the connection does from now on."""

    def follow(self, answering: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Make a task that the server knows of."""

    def exchange_ended(self, exchange: Exchange | DirectExchange) -> None:
        """Count a response that is complete, and tell Turns."""

    def drop(self, length: int) -> None:
        """Take note that the client sent what nobody reads."""

    def linger(self) -> None:
        """End our output, and for a moment drop what the client still sends."""

    def close(self) -> None:
        """Close, when what was written has been sent."""


class Turns:
    """Makes an exchange of each request, and lets one after the other be answered.

    inlet: where the requests come from; go_on() is called when more came.
    answering, arriving: the exchange that is answered now, and the one that began last.
    """

    __slots__ = ("_answer_at_once", "_app", "_app_state", "_at_once", "_client", "_connection",
                 "_connection_scope", "_is_draining", "_waiting", "answering", "arriving",
                 "inlet")  # fmt: skip

    def __init__(
        self, connection: Connection, app_state: dict[str, object], limits: Limits
    ) -> None:
        self._connection = connection
        self._app_state = app_state
        parser = RequestParser(
            self, max_header_bytes=limits.max_header_bytes, max_target_bytes=limits.max_target_bytes
        )
        self.inlet = Inlet(parser)
        self.answering: Exchange | DirectExchange | None = None
        self.arriving: Exchange | DirectExchange | None = None
        self._at_once: RequestHead | None = None
        self._waiting: deque[Exchange] = deque()
        self._is_draining = False

    def open(self, connection_scope: dict[str, object], app: ASGIApp) -> None:
        """Have app answer the requests, which share connection_scope."""
        self._app = app
        self._answer_at_once: AnswerAtOnce | None = None
        if not self._connection.is_tls:
            self._answer_at_once = getattr(app, "answer_at_once", None)
        self._connection_scope = connection_scope
        client = connection_scope["client"]
        self._client = str(client[0]) if isinstance(client, tuple) else ""

    def drain(self) -> None:
        """Let the answer that is under way be the last one, or the next."""
        self._is_draining = True
        if self.answering is not None:
            self.answering.keeps_alive = False

    def lose(self) -> None:
        """End everything, as the client has gone; whoever is sending learns it by TransferCut."""
        for lost in (self.answering, self.arriving):
            if lost is not None:
                lost.end(EndCause.CLIENT_GONE)
        self._waiting.clear()
        self.inlet.forget_backlog()

    def go_on(self) -> None:
        """Parse, but for what lies behind a request that still waits for its turn."""
        inlet = self.inlet
        while inlet.backlog and not self._waiting and not inlet.is_refused:
            inlet.parse_message()
            if self._at_once is not None:
                head, self._at_once = self._at_once, None
                if self._sends_directly(head):
                    # What follows has its turn when this was sent: answered() sees to it.
                    break
        if inlet.is_refused:
            inlet.forget_backlog()
        if self._waiting or inlet.backlog:
            inlet.pause()

    def read_on(self) -> None:
        """Read from the socket again, unless requests already wait for their turn."""
        if not self._waiting and not self.inlet.backlog:
            self.inlet.resume()

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
            and self.answering is None
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
        self.answering = self.arriving = exchange
        if not exchange.send_now():
            self._connection.enter(Stage.RESPONDING)
            # A task that is cancelled before its first step never runs.
            self._connection.follow(exchange.finish()).add_done_callback(exchange.task_ended)
        return True

    def _direct_exchange(self, head: RequestHead) -> DirectExchange | None:
        writer = self._connection.writer
        if self._answer_at_once is None or isinstance(writer, TransportWriter):
            return None
        delivery = self._answer_at_once(head, self._client)
        if delivery is None:
            return None
        keeps_alive = head.keeps_alive and not self._is_draining
        persistence = Persistence.KEEP_ALIVE if keeps_alive else Persistence.CLOSE
        return direct_exchange(self._connection, writer, delivery, head.version, persistence)

    def _begin(self, head: RequestHead) -> None:
        exchange = self._exchange(head, keeps_alive=head.keeps_alive and not self._is_draining)
        if head.target.scheme == b"https" and not self._connection.is_tls:
            # RFC 9110 section 7.4: an https resource is not this connection's to give away.
            exchange.refuse(Refusal(421, "Misdirected Request", "This connection has no TLS."))
        self._queue(exchange)

    def request_refused(self, refusal: Refusal, method: bytes) -> None:
        """Answer a request that cannot be served, in its turn, and end the connection."""
        self.inlet.is_refused = True
        nothing = RequestTarget(b"/", b"", None)
        head = RequestHead(
            "1.1", method, nothing, [], expects_continue=False, keeps_alive=False, has_content=False
        )
        exchange = self._exchange(head, keeps_alive=False)
        exchange.end_content()
        exchange.refuse(refusal)
        self._queue(exchange)

    def content_received(self, content: bytes) -> None:
        """Hand over content of the request that began last."""
        exchange = self.arriving
        if exchange is None or exchange.is_ended:
            self._connection.drop(len(content))
            return
        exchange.add_content(content)
        if exchange.incoming_bytes > _INCOMING_HIGH_WATER_BYTES:
            self.inlet.pause()

    def content_malformed(self, refusal: Refusal) -> None:
        """Refuse the request that began last, or cut it when its answer has begun."""
        self.inlet.is_refused = True
        exchange = self.arriving
        if exchange is not None and not exchange.is_ended and not exchange.refuse(refusal):
            exchange.cut(EndCause.CLIENT_GONE)

    def request_ends(self) -> None:
        """Take note that the request that began last is complete."""
        if self.arriving is not None:
            self.arriving.end_content()

    def protocol_switch_ignored(self) -> None:
        """End the connection after the answer: what follows may be in the new protocol."""
        self.inlet.is_refused = True
        self.inlet.forget_backlog()
        if self._at_once is not None:
            self._at_once = self._at_once._replace(keeps_alive=False)
        elif self.arriving is not None:
            self.arriving.keeps_alive = False

    def _exchange(self, head: RequestHead, *, keeps_alive: bool) -> Exchange:
        extensions: dict[str, object] = {}
        if not self._connection.is_tls:
            extensions["http.response.zerocopysend"] = {}
            extensions["http.response.pathsend"] = {}
        scope = request_scope(self._connection_scope, head, self._app_state, extensions)
        exchange = Exchange(
            self._connection,
            scope,
            expects_continue=head.expects_continue,
            keeps_alive=keeps_alive,
        )
        extensions[EXCHANGE_EXTENSION] = exchange
        return exchange

    # Answers in order

    def _queue(self, exchange: Exchange) -> None:
        self.arriving = exchange
        if self.answering is None:
            self._answer(exchange)
        else:
            self._waiting.append(exchange)

    def _answer(self, exchange: Exchange) -> None:
        self.answering = exchange
        self._connection.enter(Stage.RESPONDING)
        self._connection.follow(exchange.run(self._app))

    def answered(self, exchange: Exchange | DirectExchange) -> None:
        """Start the next request, wait for one, or close."""
        self.answering = None
        if self._connection.watch.stage is Stage.CLOSED:
            return
        if self._is_draining or not exchange.keeps_alive:
            self._end(exchange)
        elif self._waiting:
            self._answer(self._waiting.popleft())
            self._resume_parsing()
        elif self.inlet.backlog:
            self._connection.enter(Stage.READING_HEAD)
            self._resume_parsing()
        elif self.inlet.has_peer_ended:
            self._connection.close()
        else:
            is_open = self.inlet.is_head_open
            self._connection.enter(Stage.READING_HEAD if is_open else Stage.BETWEEN_REQUESTS)
            self.inlet.resume()

    def _resume_parsing(self) -> None:
        if self.inlet.backlog and not self._waiting:
            # Not from here: the exchange that ended is still on the stack, and the other
            # connections have their turn between two requests of this one.
            asyncio.get_running_loop().call_soon(self._parse_further)
        else:
            self.read_on()

    def _parse_further(self) -> None:
        if self._connection.watch.stage is not Stage.CLOSED:
            self.go_on()
            self.read_on()

    def _end(self, exchange: Exchange | DirectExchange) -> None:
        """Close; while the client may still be sending, read and drop for a moment first."""
        inlet = self.inlet
        may_send_more = inlet.is_refused or inlet.backlog or not exchange.has_whole_request
        self._waiting.clear()
        inlet.forget_backlog()
        if inlet.has_peer_ended or self._connection.is_tls or not may_send_more:
            self._connection.close()
        else:
            self._connection.linger()
            self.read_on()
