"""What counts as a delivery of a link, and whether there is one left.

A delivery is all that one client gets by a link: however often it resumes, however many
connections it has, wherever in a film it seeks.  It goes on as long as its requests are at most a
day apart.  Whoever has got all bytes of something and asks for all of it again begins a new one.

The catalog counts, for all processes together.  How much of a file was sent is known to the
process that sent it: a client whose connections reach several of them may have it twice.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from fileserve.access.links import Link
from fileserve.access.networks import network_of
from fileserve.operations.catalog_desk import CatalogDesk
from storage.errors import CatalogUnavailable

if TYPE_CHECKING:
    from storage.catalog import Catalog

WINDOW_SECONDS = 24 * 3600
# A player that seeks asks ten times a second; the catalog hears of it once a minute.
_RENEW_SECONDS = 60.0
_REPEAT_SECONDS = 1.0
_ASK_SECONDS = 3.0
# Of a link without a limit no more are counted: whoever has it could fill the disk with them.
_MOST_COUNTED = 10_000
# What a client asks for, and what it calls itself, is of its own choice: 60 MB at the most.
_MAX_CLIENTS = 2_000
_MAX_TARGETS = 100
_TARGET_BYTES = 16
# Who was first is remembered beside the deliveries, under an id that no link can have.
_FIRST_CLIENT = "#first"
_FOR_EVER_SECONDS = 1 << 40


class LinkBusy(Exception):  # noqa: N818 - an outcome, not a fault
    """So many ask at once that a limit could not be kept; a moment later it can."""


class Extent(Enum):
    """How much a request asks for."""

    WHOLE = "whole"
    PART = "part"


@dataclass(slots=True)
class _Client:
    """What this process remembers of one client of one link."""

    renewed_at: float = float("-inf")
    # By the digests of targets, the oldest first.
    sent: dict[bytes, int] = field(default_factory=dict)
    complete: dict[bytes, None] = field(default_factory=dict)


class Deliveries:
    """The deliveries of all links."""

    def __init__(self, desk: CatalogDesk) -> None:
        self._desk = desk
        self._clients: OrderedDict[tuple[str, bytes], _Client] = OrderedDict()

    async def claim(
        self, link: Link, client: bytes, target: bytes, extent: Extent, now: float
    ) -> bool:
        """Whether the client may have target: by its delivery, or by one that is left.

        now is in seconds since 1970.  With the catalog gone everybody may: counts are lost then,
        downloads are not.  Raises LinkBusy.
        """
        known = self._client(link.link_id, client)
        is_repeated = extent is Extent.WHOLE and _digest(target) in known.complete
        if _is_settled(link, extent, is_repeated, now - known.renewed_at):
            return True
        limit = _MOST_COUNTED if link.downloads is None else link.downloads

        def count(catalog: "Catalog") -> bool:
            if is_repeated:
                catalog.complete_delivery(link.link_id, client, int(now))
            claim = (
                catalog.claim_whole_delivery if extent is Extent.WHOLE else catalog.claim_delivery
            )
            return claim(link.link_id, client, limit, int(now), WINDOW_SECONDS)

        if not await self._is_granted(link, count):
            return False
        known.renewed_at = now
        if is_repeated:
            known.complete.clear()
        return True

    async def is_open_to(self, link: Link, client: bytes, now: float) -> bool:
        """Whether the client has a delivery that goes on, or one is left; counts nothing.

        Raises LinkBusy.
        """
        if link.downloads is None:
            return True
        limit = link.downloads
        known = self._clients.get((link.link_id, client))
        if known is not None and now - known.renewed_at < _RENEW_SECONDS:
            return True

        def look(catalog: "Catalog") -> bool:
            return catalog.has_delivery(link.link_id, client, limit, int(now), WINDOW_SECONDS)

        return await self._ask(look)

    async def _is_granted(self, link: Link, count: "Callable[[Catalog], bool]") -> bool:
        if link.downloads is None:
            # Counted for the admin alone: nobody waits for it.  A flood of them must not keep
            # the catalog from counting where there is a limit.
            if not self._desk.is_behind:
                self._desk.submit(count)
            return True
        return await self._ask(count)

    async def _ask(self, question: "Callable[[Catalog], bool]") -> bool:
        """What the catalog says, and yes where it is gone; raises LinkBusy."""
        try:
            return await self._desk.ask(question, _ASK_SECONDS)
        except CatalogUnavailable as error:
            if self._desk.is_behind:
                # Whoever made so many ask at once must not lift the limit by that.
                raise LinkBusy from error
            # The desk has logged it.
            return True

    def note_sent(  # noqa: PLR0917 - who got how much of what, and when
        self, link: Link, client: bytes, target: bytes, sent: int, length: int, now: float
    ) -> None:
        """Take note that sent bytes of target, which has length of them, went to the client."""
        known = self._client(link.link_id, client)
        digest = _digest(target)
        total = known.sent.pop(digest, 0) + sent
        if total < length:
            known.sent[digest] = total
            _forget_oldest(known.sent)
            return
        known.complete[digest] = None
        _forget_oldest(known.complete)
        if link.downloads is not None and not link.is_folder:
            self._desk.submit(
                lambda catalog: catalog.complete_delivery(link.link_id, client, int(now))
            )

    async def is_first_client(self, link: Link, address: bytes, now: float) -> bool:
        """Whether nobody came by this link before from another address; raises LinkBusy."""
        link_id = link.link_id + _FIRST_CLIENT
        known = self._client(link_id, address)
        if known.renewed_at > now - _RENEW_SECONDS:
            return True

        def claim(catalog: "Catalog") -> bool:
            return catalog.claim_delivery(link_id, address, 1, int(now), _FOR_EVER_SECONDS)

        is_first = await self._ask(claim)
        if is_first:
            known.renewed_at = now
        return is_first

    def _client(self, link_id: str, client: bytes) -> _Client:
        key = (link_id, client)
        known = self._clients.get(key)
        if known is None:
            if len(self._clients) >= _MAX_CLIENTS:
                self._clients.popitem(last=False)
            known = self._clients[key] = _Client()
        self._clients.move_to_end(key)
        return known


def _digest(target: bytes) -> bytes:
    return hashlib.sha256(target).digest()[:_TARGET_BYTES]


def _forget_oldest(targets: dict[bytes, int] | dict[bytes, None]) -> None:
    if len(targets) > _MAX_TARGETS:
        del targets[next(iter(targets))]


def _is_settled(link: Link, extent: Extent, is_repeated: bool, age_seconds: float) -> bool:
    """Whether the catalog need not be asked again, age_seconds after it was."""
    if link.downloads is None:
        # This count is for the admin to see: nobody is refused by it.
        return age_seconds < (_REPEAT_SECONDS if is_repeated else _RENEW_SECONDS)
    # Of a single file another process may know that all of it was sent.
    is_known_here = extent is Extent.PART or (link.is_folder and not is_repeated)
    return is_known_here and age_seconds < _RENEW_SECONDS


def client_key(address: str, user_agent: bytes) -> bytes:
    """Who a client is to deliveries: a hash, so that the catalog holds no addresses.

    Of an IPv6 address the network counts: a phone has a new address in it each day.
    """
    return hashlib.sha256(network_of(address).encode() + b"\n" + user_agent).digest()[:16]
