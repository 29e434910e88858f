"""The running transfers: who gets what, how far it is, and how it ended."""

import time
from asyncio import CancelledError
from typing import Protocol, cast

from starlette.types import Message, Scope, Send

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


class Transfer:
    """One response, from the first line of its request to its end.

    Its send is what the application gets in place of the server's.  One object and no copies:
    it is made for each 64 KiB range that a player asks for.
    """

    __slots__ = (
        "_counted_bytes",
        "_exchange",
        "_is_complete",
        "_send",
        "client",
        "end_cause",
        "method",
        "range_field",
        "started",
        "status",
        "stopped",
        "target",
    )

    def __init__(self, scope: Scope, send: Send) -> None:
        extensions = scope.get("extensions")
        self._exchange: Exchange | None = extensions.get(EXCHANGE_EXTENSION) if extensions else None
        self._send = send
        self._counted_bytes = 0
        self._is_complete = False
        client = scope.get("client")
        # Empty where the peer has no address: a Unix socket.
        self.client: str = client[0] if client else ""
        self.method: str = scope["method"]
        # Still percent-encoded.  Without the query: that may hold a secret.
        self.target: bytes = scope.get("raw_path") or scope["path"].encode("utf-8")
        self.range_field: bytes | None = _range_field(scope)
        self.status: int | None = None
        self.end_cause: EndCause | None = None
        self.started = time.perf_counter()
        self.stopped: float | None = None

    @property
    def body_bytes_sent(self) -> int:
        """Bytes of content really sent so far, or given to a server that does not tell."""
        exchange = self._exchange
        return self._counted_bytes if exchange is None else exchange.body_bytes_sent

    @property
    def seconds(self) -> float:
        """How long it took, or has been running."""
        stopped = self.stopped
        return (time.perf_counter() if stopped is None else stopped) - self.started

    async def send(self, message: Message) -> None:
        """ASGI send: passes the message on and notes what it says."""
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
        if self._exchange is not None:
            cause = self._exchange.end_cause
            self._counted_bytes = self._exchange.body_bytes_sent
            # A line that waits to be written must not keep the request alive.
            self._exchange = None
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


def _range_field(scope: Scope) -> bytes | None:
    """The Range field value as the client sent it; None without one."""
    for key, value in scope["headers"]:
        if key == b"range":
            return cast("bytes", value)
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

    def begin(self, scope: Scope, send: Send) -> Transfer:
        """A new running transfer, to be ended by end()."""
        transfer = Transfer(scope, send)
        self._running.add(transfer)
        return transfer

    def end(self, transfer: Transfer, error: BaseException | None) -> None:
        """Note that it ended; error is what the application raised, if it did."""
        transfer.end(error)
        self._running.discard(transfer)
