"""No faster than was promised: the deliveries of a link share one rate, however many connections.

A paced answer sends small pieces, and each waits for its turn.  The kernel's own pacing
(SO_MAX_PACING_RATE) knows connections only: a client with eight of them would have eight times
the rate, and so would one that takes a file in ranges that fit into the socket.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

from starlette.types import Message, Send

from fileserve.delivery.outcomes import EndCause, TransferCut

# A turn ten times a second; 256 KiB is what one sendfile call takes anyway.
_PIECES_PER_SECOND = 10
_MIN_PIECE_BYTES = 4 << 10
_MAX_PIECE_BYTES = 256 << 10
_MAX_BUDGETS = 10_000
# How soon it is noticed that somebody who waits has gone.
_LOOK_SECONDS = 1.0


class Budget:
    """Bytes per second that all who share it have together; they take turns as they come."""

    __slots__ = ("_free_at", "_rate", "_turn")

    def __init__(self, bytes_per_second: int) -> None:
        self._rate = max(bytes_per_second, 1)
        self._free_at = 0.0
        self._turn = asyncio.Lock()

    @property
    def piece_bytes(self) -> int:
        """As much as is sent in one turn."""
        return min(max(self._rate // _PIECES_PER_SECOND, _MIN_PIECE_BYTES), _MAX_PIECE_BYTES)

    def is_idle(self, now: float) -> bool:
        """Whether a new budget would do the same."""
        return self._free_at <= now and not self._turn.locked()

    def reserve(self, count: int, now: float) -> float:
        """Take count bytes; how many seconds to wait before they may be sent.

        Nobody saves up: a quiet minute does not allow a burst.
        """
        begins = max(self._free_at, now)
        self._free_at = begins + count / self._rate
        return begins - now

    async def take_turn(self, count: int, is_gone: Callable[[], bool]) -> None:
        """Return when count bytes may be sent; raises TransferCut for a client that has gone.

        Only who is first in the queue takes something of the budget: who leaves it costs the
        others nothing, and does not hold its file open until a turn comes that nobody wants.
        """
        async with self._turn:
            while (wait := self._free_at - time.monotonic()) > 0:
                if is_gone():
                    raise TransferCut(EndCause.CLIENT_GONE)
                await asyncio.sleep(min(wait, _LOOK_SECONDS))
            self.reserve(count, time.monotonic())


class Budgets:
    """The budgets of this process by who shares them; forgotten when they would not matter."""

    def __init__(self) -> None:
        self._budgets: OrderedDict[tuple[str, bytes], Budget] = OrderedDict()

    def budget(self, link_id: str, client: bytes, bytes_per_second: int) -> Budget:
        """What all connections of a client have together for a link."""
        key = (link_id, client)
        found = self._budgets.get(key)
        if found is None:
            self._make_room()
            found = self._budgets[key] = Budget(bytes_per_second)
        self._budgets.move_to_end(key)
        return found

    def _make_room(self) -> None:
        now = time.monotonic()
        while self._budgets and next(iter(self._budgets.values())).is_idle(now):
            self._budgets.popitem(last=False)
        if len(self._budgets) >= _MAX_BUDGETS:
            self._budgets.popitem(last=False)


def _never() -> bool:
    return False


def paced(send: Send, budget: Budget, is_gone: Callable[[], bool] = _never) -> Send:
    """An ASGI send that lets content through no faster than the budget allows.

    is_gone: whether the client seems to have left; whoever has to wait is cut then.
    """

    async def send_in_turn(message: Message) -> None:
        for piece, count in _pieces(message, budget.piece_bytes):
            if count:
                await budget.take_turn(count, is_gone)
            await send(piece)

    return send_in_turn


def _pieces(message: Message, most: int) -> Iterator[tuple[Message, int]]:
    """The message cut into messages of at most that much content, and how much each has."""
    kind = message["type"]
    if kind == "http.response.body":
        yield from _cut_body(message, most)
    elif kind == "http.response.zerocopysend" and message.get("count") is not None:
        yield from _cut_slice(message, most)
    else:
        yield message, 0


def _cut_body(message: Message, most: int) -> Iterator[tuple[Message, int]]:
    body, more_body = message.get("body", b""), message.get("more_body", False)
    if len(body) <= most:
        yield message, len(body)
        return
    for start in range(0, len(body), most):
        piece = body[start : start + most]
        is_last = start + most >= len(body)
        yield {**message, "body": piece, "more_body": more_body or not is_last}, len(piece)


def _cut_slice(message: Message, most: int) -> Iterator[tuple[Message, int]]:
    offset, count = message.get("offset"), message["count"]
    if count <= most or offset is None:
        yield message, count
        return
    more_body = message.get("more_body", False)
    for start in range(0, count, most):
        length = min(most, count - start)
        is_last = start + length >= count
        piece = {**message, "offset": offset + start, "count": length}
        yield {**piece, "more_body": more_body or not is_last}, length
