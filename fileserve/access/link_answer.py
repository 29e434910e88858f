"""An answer that goes out by a link: whether it counts, how much of it went, who may keep it."""

import re
import time
from collections.abc import Sequence

from starlette.types import Message, Scope, Send

from fileserve.access.deliveries import Deliveries, Extent
from fileserve.access.links import Link
from fileserve.http.query import first_values
from fileserve.operations.transfers import Transfer
from fileserve.problems import Field

_COMPLETE_LENGTH = re.compile(rb"bytes [0-9]+-[0-9]+/([0-9]+)")
# What is said about a file is not what is in it.  Nothing else may be asked with it: which of two
# parameters counts is not known here.
_ABOUT = frozenset((b"qr", b"checksum"))
# What files and archives have, and pages about them do not.
_OF_FILES: Field = (b"accept-ranges", b"bytes")
_REPLACED = frozenset((b"cache-control", b"referrer-policy", b"x-robots-tag"))
_DISCREET: tuple[Field, ...] = (
    # The address is the secret: no other site may learn it, and no search engine.
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex, nofollow"),
)
_CACHE = b"cache-control"
# A shared cache would go on answering after the link has ended.
_PRIVATE: Field = (_CACHE, b"private, no-cache")
_NO_STORE: Field = (_CACHE, b"no-store")


class LinkSpent(Exception):  # noqa: N818 - an outcome, not a fault
    """There is no delivery left; nothing of the answer was sent."""


def discreet(send: Send) -> Send:
    """An ASGI send for answers of which nobody else should learn where they came from."""

    async def send_discreetly(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": _discreet_fields(message.get("headers", ()))}
        await send(message)

    return send_discreetly


class LinkAnswer:
    """One answer by a link, from its first byte to its last."""

    def __init__(
        self, deliveries: Deliveries, link: Link, client: bytes, scope: Scope, transfer: Transfer
    ) -> None:
        self._deliveries = deliveries
        self._link = link
        self._client = client
        self._scope = scope
        self._transfer = transfer
        self._send = discreet(transfer.send)
        self._complete_length: int | None = None

    async def send(self, message: Message) -> None:
        """ASGI send; raises LinkSpent instead of beginning a delivery too many."""
        is_start = message["type"] == "http.response.start"
        if is_start and message["status"] in (200, 206) and self._scope["method"] == "GET":
            await self._begin(message["status"], message["headers"])
        await self._send(message)

    async def _begin(self, status: int, fields: Sequence[Field]) -> None:
        """Claim a delivery for what brings bytes; a folder's index file is a page, seen often."""
        is_file, is_expected = _OF_FILES in fields, is_counted(self._scope)
        if is_expected:
            await self._claim(Extent.WHOLE if is_file and status == 200 else Extent.PART)
        elif is_file:
            await self._claim(Extent.PART)
        if is_file:
            self._complete_length = _complete_length(status, fields)

    def end(self) -> None:
        """Take note how much was sent, once nothing more is."""
        if self._complete_length is None:
            return
        sent = self._transfer.body_bytes_sent
        self._deliveries.note_sent(
            self._link, self._client, self._target, sent, self._complete_length, time.time()
        )

    @property
    def _target(self) -> bytes:
        # What tells files, and the archives of a folder, apart.
        path: bytes = self._transfer.target
        return path + b"?" + self._scope["query_string"] if path.endswith(b"/") else path

    async def _claim(self, extent: Extent) -> None:
        if not await self._deliveries.claim(
            self._link, self._client, self._target, extent, time.time()
        ):
            raise LinkSpent


def is_counted(scope: Scope) -> bool:
    """Whether an answer may bring bytes of files: of one, or of a folder as an archive."""
    if scope["method"] != "GET":
        return False
    query: bytes = scope["query_string"]
    if not scope["path"].endswith("/"):
        return query not in _ABOUT
    return "archive" in first_values(query)


def _complete_length(status: int, fields: Sequence[Field]) -> int | None:
    """How long the whole is of which an answer brings all or a part; None where it does not say."""
    named = dict(fields)
    if status == 200:
        length = named.get(b"content-length", b"")
        return int(length) if length.isdigit() else None
    found = _COMPLETE_LENGTH.fullmatch(named.get(b"content-range", b""))
    return None if found is None else int(found[1])


def _discreet_fields(fields: Sequence[Field]) -> list[Field]:
    kept = [field for field in fields if field[0] not in _REPLACED]
    is_kept_nowhere = any(key == _CACHE and b"no-store" in value for key, value in fields)
    return [*kept, _NO_STORE if is_kept_nowhere else _PRIVATE, *_DISCREET]
