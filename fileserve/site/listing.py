"""Answers a request for a folder: its listing in the form that is asked for, streamed.

Nothing holds a whole listing: entries come from storage in batches, and each piece is on its way
before the next is made.  Only what fits in one batch is made as a whole first: so it can have an
entity tag.
"""

import asyncio
import hashlib
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.delivery.plan import request_fields
from fileserve.http.fields import merged
from fileserve.http.preconditions import Verdict, evaluate_undated
from fileserve.http.validators import EntityTag
from fileserve.problems import Field, Problem, problem, problem_for
from fileserve.site.listing_entries import ListingForm, Notice
from fileserve.site.listing_json import JsonListing
from fileserve.site.listing_page import PageListing
from fileserve.site.listing_query import Form, ListingQuery, QueryRefused, parse_listing_query
from fileserve.site.listing_records import Sha256Of
from fileserve.site.listing_rows import CsvListing, NdjsonListing, TextListing
from fileserve.site.pages import PAGE_POLICY
from fileserve.site.searching import Piece, SearchLimits, pieces_of
from fileserve.site.unvalidated import refuse
from fileserve.site.visitors import STRANGER, Visitor
from storage.descending import Part
from storage.errors import StorageError
from storage.folders import BATCH_ENTRIES
from storage.local import LocalStorage
from storage.names import Name

# About 0.6 ms of making rows: as long as other transfers wait for each listing that is made.
_ROWS_PER_PIECE = 100
_TAG_BYTES = 16
_CONTROL: tuple[Field, ...] = ((b"cache-control", b"no-cache"), (b"vary", b"Accept"))
_ROWS_POLICY = b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_LIMITS = SearchLimits()


async def send_listing(  # noqa: PLR0917 - three of them are ASGI's own
    scope: Scope,
    receive: Receive,
    send: Send,
    storage: LocalStorage,
    name: Name,
    extra_fields: Sequence[Field] = (),
    visitor: Visitor = STRANGER,
    sha256_of: Sha256Of | None = None,
) -> None:
    """Answer GET or HEAD of the folder name, extra_fields (CORS) among the response fields.

    A folder that cannot be read is a problem response.  Raises TransferCut when it stops
    answering in mid-stream: the head is out, so a cut is the only honest end.
    """
    reply = _Reply(scope, send, extra_fields)
    try:
        asked = parse_listing_query(scope["query_string"], _accept(scope))
    except QueryRefused as error:
        await reply.refuse(problem(400, str(error)))
        return
    form = _form_of(name, scope.get("root_path", ""), asked, visitor, sha256_of)
    async with aclosing(pieces_of(storage, name, asked, _LIMITS)) as pieces:
        try:
            # Before the head goes out, because this is where a folder turns out to be unreadable.
            first, is_whole = await _open(pieces, asked)
        except StorageError as error:
            await reply.refuse(problem_for(error))
            return
        texts = _texts(form, asked, _chained(first, pieces), storage)
        async with aclosing(texts):
            if is_whole:
                await reply.send_whole(form.content_type, [text async for text in texts])
            else:
                await reply.stream(form.content_type, texts)


def _form_of(
    name: Name,
    root_path: str,
    asked: ListingQuery,
    visitor: Visitor,
    sha256_of: Sha256Of | None,
) -> ListingForm:
    match asked.form:
        case Form.HTML:
            return PageListing(name, root_path, asked.shown, visitor)
        case Form.JSON:
            return JsonListing(name, root_path, asked.shown, sha256_of)
        case Form.NDJSON:
            return NdjsonListing(name, root_path, asked.shown, sha256_of)
        case Form.CSV:
            return CsvListing(name, root_path, asked.shown)
        case Form.TEXT:
            return TextListing(name, root_path, asked.shown)


@dataclass(frozen=True, slots=True)
class _Reply:
    """The response to one request."""

    scope: Scope
    send: Send
    extra_fields: Sequence[Field]

    async def refuse(self, refusal: Problem) -> None:
        await refuse(self.scope, self.send, refusal, self.extra_fields)

    async def send_whole(self, content_type: str, texts: Sequence[str]) -> None:
        """A listing that is there already, under a tag of its bytes."""
        content = "".join(texts).encode("utf-8")
        tag = EntityTag(hashlib.sha256(content).hexdigest()[: 2 * _TAG_BYTES], is_weak=False)
        tag_field = (b"etag", str(tag).encode("ascii"))
        if await self._is_judged(tag, tag_field):
            return
        length = (b"content-length", b"%d" % len(content))
        await self._start(200, *_metadata(content_type), tag_field, length)
        is_head = self.scope["method"] == "HEAD"
        await self._end(b"" if is_head else content)

    async def stream(self, content_type: str, texts: AsyncIterator[str]) -> None:
        """A listing that nobody knows the end of yet, and so without a tag."""
        if await self._is_judged(None):
            return
        await self._start(200, *_metadata(content_type))
        if self.scope["method"] != "HEAD":
            async for text in texts:
                if text:
                    await self._send_body(text.encode("utf-8"))
        await self._end()

    async def _is_judged(self, tag: EntityTag | None, *fields: Field) -> bool:
        """Whether a precondition decided what to answer, and that is sent."""
        match evaluate_undated(request_fields(self.scope["headers"]), tag):
            case Verdict.FAILED:
                await self.refuse(problem(412, "The listing is not in the state that was named."))
            case Verdict.NOT_MODIFIED:
                await self._start(304, *fields)
                await self._end()
            case Verdict.PROCEED:
                return False
        return True

    async def _start(self, status: int, *fields: Field) -> None:
        headers = merged((*fields, *_CONTROL, *self.extra_fields))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def _send_body(self, content: bytes) -> None:
        await self.send({"type": "http.response.body", "body": content, "more_body": True})

    async def _end(self, content: bytes = b"") -> None:
        await self.send({"type": "http.response.body", "body": content, "more_body": False})


async def _open(
    pieces: AsyncGenerator[Piece, None], asked: ListingQuery
) -> tuple[list[Piece], bool]:
    """The first pieces, and whether that was all.

    They are as many as may be made as a whole; of what may take its time one is enough.
    """
    first: list[Piece] = []
    entries = 0
    async for piece in pieces:
        first.append(piece)
        count = len(piece.entries) if isinstance(piece, Part) else 0
        entries += count
        if not asked.is_flat or not count or entries > BATCH_ENTRIES:
            return first, False
    return first, True


async def _chained(
    first: Iterable[Piece], rest: AsyncIterator[Piece]
) -> AsyncGenerator[Piece, None]:
    for piece in first:
        yield piece
    try:
        async for piece in rest:
            yield piece
    except StorageError as error:
        raise TransferCut(EndCause.UNAVAILABLE, "the folder stopped answering") from error


async def _texts(
    form: ListingForm, asked: ListingQuery, pieces: AsyncIterator[Piece], storage: LocalStorage
) -> AsyncGenerator[str, None]:
    """The listing in small pieces of text; others have their turn between them."""
    yield form.head()
    async for piece in pieces:
        for text in _texts_of(form, asked, piece):
            yield text
            await asyncio.sleep(0)
    if isinstance(form, PageListing) and asked.is_flat:
        await form.read_readme(storage)
    yield form.tail()


def _texts_of(form: ListingForm, asked: ListingQuery, piece: Piece) -> Iterator[str]:
    if isinstance(piece, Notice):
        yield form.notice(piece)
        return
    for start in range(0, len(piece.entries), _ROWS_PER_PIECE):
        entries = piece.entries[start : start + _ROWS_PER_PIECE]
        yield form.rows(entries) if asked.is_flat else form.found(piece.folder, entries)


def _metadata(content_type: str) -> tuple[Field, ...]:
    policy = PAGE_POLICY if content_type == PageListing.content_type else _ROWS_POLICY
    return (
        (b"content-type", content_type.encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", policy),
    )


def _accept(scope: Scope) -> str | None:
    values = [value.decode("latin-1") for key, value in scope["headers"] if key == b"accept"]
    return ", ".join(values) if values else None
