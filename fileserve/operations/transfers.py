"""The running transfers: who gets what, how far it is, and how it ended."""

import time
from asyncio import CancelledError
from collections.abc import Iterable
from typing import Protocol

from starlette.types import Message, Scope, Send

from fileserve.access.redaction import redacted
from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.delivery.scopes import EXCHANGE_EXTENSION


class Exchange(Protocol):
    """What our own protocol class knows better than the ASGI messages do."""

    @property
    def body_bytes_sent(self) -> int:
        """Bytes of content that the kernel has taken."""

    @property
    def end_cause(self) -> EndCause | None:
        """How the response ended; None while it has not."""

    @property
    def has_peer_ended(self) -> bool:
        """Whether the client ended its sending, as those do who leave."""


class Transfer:
    """One response, from the first line of its request to its end.

    Its send is what the application gets in place of the server's.  One object and no copies:
    it is made for each 64 KiB range that a player asks for.
    """

    __slots__ = (
        "_counted_bytes",
        "_is_complete",
        "_send",
        "client",
        "end_cause",
        "exchange",
        "method",
        "range_field",
        "started",
        "status",
        "stopped",
        "target",
    )

    def __init__(
        self,
        client: str,
        method: str,
        target: bytes,
        range_field: bytes | None,
    ) -> None:
        self.exchange: Exchange | None = None
        self._send: Send | None = None
        self._counted_bytes = 0
        self._is_complete = False
        # Empty where the peer has no address: a Unix socket.
        self.client = client
        self.method = method
        # Still percent-encoded.  Without the query and without tokens: those are secrets.
        self.target = target
        self.range_field = range_field
        self.status: int | None = None
        self.end_cause: EndCause | None = None
        self.started = time.perf_counter()
        self.stopped: float | None = None

    @classmethod
    def of_scope(cls, scope: Scope, send: Send) -> "Transfer":
        """The transfer of an ASGI request."""
        client = scope.get("client")
        transfer = cls(
            client[0] if client else "",
            scope["method"],
            redacted(scope.get("raw_path") or scope["path"].encode("utf-8")),
            range_field(scope["headers"]),
        )
        transfer.exchange = (scope.get("extensions") or {}).get(EXCHANGE_EXTENSION)
        transfer._send = send
        return transfer

    @property
    def body_bytes_sent(self) -> int:
        """Bytes of content really sent so far, or given to a server that does not tell."""
        exchange = self.exchange
        return self._counted_bytes if exchange is None else exchange.body_bytes_sent

    @property
    def is_left(self) -> bool:
        """Whether the client seems to be gone: it ended its sending, or the connection."""
        exchange = self.exchange
        if exchange is None:
            return False
        return exchange.has_peer_ended or exchange.end_cause is not None

    @property
    def seconds(self) -> float:
        """How long it took, or has been running."""
        stopped = self.stopped
        return (time.perf_counter() if stopped is None else stopped) - self.started

    async def send(self, message: Message) -> None:
        """ASGI send: passes the message on and notes what it says."""
        assert self._send is not None, "this transfer has no ASGI messages"
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            await self._send(message)
            return
        await self._send(message)
        if kind == "http.response.body":
            self._counted_bytes += len(message.get("body", b""))
        elif kind == "http.response.zerocopysend":
            self._counted_bytes += message.get("count") or 0
        if not message.get("more_body", False):
            self._is_complete = True

    def end(self, error: BaseException | None) -> None:
        """Note the end and its cause; error is what the application raised, if it did."""
        self.stopped = time.perf_counter()
        cause: EndCause | None = None
        if self.exchange is not None:
            cause = self.exchange.end_cause
            self._counted_bytes = self.exchange.body_bytes_sent
            # A line that waits to be written must not keep the request alive.
            self.exchange = None
        self.end_cause = cause if cause is not None else self._cause_by(error)
        if self.status is None and self.end_cause is EndCause.FAILED:
            # What every server answers then.
            self.status = 500

    def _cause_by(self, error: BaseException | None) -> EndCause:
        match error:
            case None:
                return EndCause.COMPLETE if self._is_complete else EndCause.FAILED
            case TransferCut():
                return error.cause
            case CancelledError():
                return EndCause.SHUTDOWN
            case OSError():
                # How send tells that the client has gone (ASGI specification 2.4).
                return EndCause.CLIENT_GONE
            case _:
                return EndCause.FAILED


def range_field(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The Range field value as the client sent it; None without one."""
    for key, value in headers:
        if key == b"range":
            return value
    return None


class TransferRegistry:
    """The transfers that run in this process."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running: set[Transfer] = set()

    def __len__(self) -> int:
        return len(self._running)

    def running(self) -> list[Transfer]:
        """A snapshot, longest running first."""
        return sorted(self._running, key=lambda transfer: transfer.started)

    def begin(self, transfer: Transfer) -> None:
        """Take note that it runs; to be ended by end()."""
        self._running.add(transfer)

    def end(self, transfer: Transfer, error: BaseException | None) -> None:
        """Note that it ended; error is what the application raised, if it did."""
        transfer.end(error)
        self._running.discard(transfer)
