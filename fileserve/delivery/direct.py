"""Answers a request on the spot: no scope, no task, as long as the socket takes what is sent.

A task, a scope and the messages of ASGI cost more than a small range itself (40 us of 100,
measured 2026-11).  An application that has a method ``answer_at_once`` is asked first; what it
leaves to ASGI, and what the socket does not take at once, goes the ordinary way.
"""

import asyncio
import logging
import socket
from typing import Protocol

from fileserve.delivery.body import Segment, Slice
from fileserve.delivery.file_pump import WINDOW_BYTES
from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.delivery.plan import Plan
from fileserve.delivery.request_heads import RequestHead
from fileserve.delivery.response_head import Persistence, compose_planned_head
from fileserve.delivery.socket_writer import ONE_SEGMENT_BYTES
from fileserve.http.request_head import Refusal

_log = logging.getLogger("fileserve.error")


class Delivery(Protocol):
    """A response that was decided at once, and what it holds open."""

    @property
    def plan(self) -> Plan:
        """What is sent; all files in its body are zero-copy."""

    def begin(self, exchange: "DirectExchange") -> None:
        """Take note of who tells how far it is."""

    def end(self) -> None:
        """Let go of everything; exchange.end_cause says how it ended."""


class AnswerAtOnce(Protocol):
    """An application's ``answer_at_once``."""

    def __call__(self, request: RequestHead, client: str) -> Delivery | None:
        """The answer to a request without content; None where ASGI has to give it.

        client is the peer's address, empty where it has none.  Must not wait.
        """


class Writer(Protocol):
    """What is needed of socket_writer, which has the contract."""

    @property
    def bytes_written(self) -> int: ...

    def try_write(self, buffer: bytes, flags: int) -> int: ...

    def try_send_file(self, descriptor: int, offset: int, count: int) -> int: ...

    async def write(self, buffer: bytes, flags: int) -> None: ...

    async def send_file(self, descriptor: int, offset: int, count: int) -> None: ...

    def discard_unsent(self) -> None: ...


class Connection(Protocol):
    """What is needed of the protocol that received the request."""

    def default_fields(self) -> bytes:
        """Return the encoded fields that every response carries, Date among them."""

    def exchange_ended(self, exchange: "DirectExchange") -> None:
        """Take note that the response is complete: the next request may start."""

    def abort(self) -> None:
        """Cut the connection: a client must not take what it has for the whole."""


class DirectExchange:
    """One request and its answer that needs nobody any more; to the protocol like an Exchange."""

    __slots__ = (
        "_began_at",
        "_connection",
        "_delivery",
        "_final_body_bytes",
        "_head_bytes",
        "_length",
        "_place",
        "_unsent",
        "_writer",
        "end_cause",
        "keeps_alive",
    )

    has_whole_request = True
    has_peer_ended = False
    incoming_bytes = 0

    def __init__(
        self,
        connection: Connection,
        writer: Writer,
        delivery: Delivery,
        head: bytes,
        persistence: Persistence,
    ) -> None:
        self.keeps_alive = persistence is Persistence.KEEP_ALIVE
        self.end_cause: EndCause | None = None
        self._connection = connection
        self._writer = writer
        self._delivery: Delivery | None = delivery
        self._head_bytes = len(head)
        self._began_at = writer.bytes_written
        self._final_body_bytes: int | None = None
        body = delivery.plan.body
        self._unsent: list[Segment] = [head, *body.segments]
        self._place = 0
        self._length = body.length
        delivery.begin(self)

    @property
    def body_bytes_sent(self) -> int:
        """How many bytes of content the kernel has taken."""
        if self._final_body_bytes is not None:
            return self._final_body_bytes
        return max(self._writer.bytes_written - self._began_at - self._head_bytes, 0)

    @property
    def is_ended(self) -> bool:
        """Whether the response is complete or cut."""
        return self.end_cause is not None

    def send_now(self) -> bool:
        """Send what the socket takes at once; False when something is left for finish()."""
        try:
            if not self._send_some():
                return False
            self.end(EndCause.COMPLETE)
        except TransferCut as cut:
            self.cut(cut.cause)
        except Exception:  # noqa: BLE001 - the outermost frame of a request: logged, then cut
            self._fail()
        self._let_go()
        return True

    def _send_some(self) -> bool:
        unsent, last = self._unsent, len(self._unsent) - 1
        while self._place <= last:
            if self._writer.bytes_written - self._began_at > WINDOW_BYTES:
                # Many ranges, and a client as fast as we are: the others have their turn.
                return False
            segment = unsent[self._place]
            if isinstance(segment, bytes):
                sent = self._writer.try_write(segment, self._flags_at(self._place))
                if sent < len(segment):
                    unsent[self._place] = segment[sent:]
                    return False
            else:
                assert isinstance(segment, Slice), "archives are not answered at once"
                file, start, stop = segment
                sent = self._writer.try_send_file(file.fileno(), start, stop - start)
                if start + sent < stop:
                    unsent[self._place] = Slice(file, start + sent, stop)
                    return False
            self._place += 1
        return True

    async def finish(self) -> None:
        """Send the rest, waiting for the client; the connection is left in an honest state."""
        try:
            await self._send_rest()
            self.end(EndCause.COMPLETE)
        except TransferCut as cut:
            self.cut(cut.cause)
        except asyncio.CancelledError:
            self.cut(EndCause.SHUTDOWN)
            raise
        except Exception:  # noqa: BLE001 - the outermost frame of a request: logged, then cut
            self._fail()
        finally:
            self._let_go()

    def task_ended(self, _task: object) -> None:
        """Let go also where finish() was cancelled before its first step."""
        self.cut(EndCause.SHUTDOWN)
        self._let_go()

    async def _send_rest(self) -> None:
        last = len(self._unsent) - 1
        for place in range(self._place, last + 1):
            segment = self._unsent[place]
            if isinstance(segment, bytes):
                await self._writer.write(segment, self._flags_at(place))
            else:
                assert isinstance(segment, Slice), "archives are not answered at once"
                file, start, stop = segment
                await self._writer.send_file(file.fileno(), start, stop - start)
                if place < last:
                    # What fits into the socket is sent without waiting for anything.
                    await asyncio.sleep(0)

    def _flags_at(self, place: int) -> int:
        is_joined = place < len(self._unsent) - 1 and self._length <= ONE_SEGMENT_BYTES
        return socket.MSG_MORE if is_joined else 0

    def _fail(self) -> None:
        _log.exception("a transfer failed")
        self.cut(EndCause.FAILED)

    def _let_go(self) -> None:
        """End the delivery, once; after a whole response the connection goes on."""
        delivery, self._delivery = self._delivery, None
        if delivery is None:
            return
        try:
            delivery.end()
        except Exception:  # noqa: BLE001 - the response has ended all the same
            _log.exception("what was sent could not be closed")
        if self.end_cause is EndCause.COMPLETE:
            self._connection.exchange_ended(self)

    def end(self, cause: EndCause) -> None:
        """Note how the response ended; the first cause counts."""
        if self.end_cause is None:
            self._final_body_bytes = self.body_bytes_sent
            self.end_cause = cause

    def cut(self, cause: EndCause) -> None:
        """End a response that cannot be completed, so that nobody takes it for the whole."""
        if self.end_cause is None:
            self.end(cause)
            self._writer.discard_unsent()
            self._connection.abort()

    # There is no content to come, and nothing to be refused any more.

    def add_content(self, chunk: bytes) -> None:
        """Take no content: a request with content is never answered here."""

    def end_content(self) -> None:
        """Take note that the request is complete: it always was."""

    def refuse(self, _refusal: Refusal) -> bool:
        """Refuse nothing: the answer has been given."""
        return False


def direct_exchange(
    connection: Connection,
    writer: Writer,
    delivery: Delivery,
    version: str,
    persistence: Persistence,
) -> DirectExchange:
    """Return the exchange of ``delivery``, which is ended when none can be made.

    version is that of the request.  Raises RuntimeError for a field that cannot be sent.
    """
    plan = delivery.plan
    try:
        head = compose_planned_head(
            plan.status,
            plan.own,
            plan.common,
            version=version,
            default_fields=connection.default_fields(),
            persistence=persistence,
        )
        return DirectExchange(connection, writer, delivery, head, persistence)
    except BaseException:
        delivery.end()
        raise
