"""Answers a request for a folder: its listing as a page or as JSON, streamed.

Nothing holds a whole listing: entries come from storage in batches, and each piece is on its way
before the next is made.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from urllib.parse import parse_qs

from starlette.types import Message, Receive, Scope, Send

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.delivery.plan import request_fields
from fileserve.http.accept import preferred
from fileserve.http.preconditions import Verdict
from fileserve.problems import Field, Problem, problem, problem_for, send_problem
from fileserve.site.listing_entries import ListingForm
from fileserve.site.listing_json import JsonListing
from fileserve.site.listing_page import PageListing
from storage.errors import StorageError
from storage.local import Entry, LocalStorage
from storage.names import Name

# About 2 ms of making rows: as long as other transfers wait for the event loop at the most.
_ROWS_PER_PIECE = 100
_FORMS: dict[str, type[PageListing] | type[JsonListing]] = {
    "html": PageListing,
    "json": JsonListing,
}
_OFFERS = {"text/html": "html", "application/json": "json"}
_CONTROL: tuple[Field, ...] = ((b"cache-control", b"no-cache"), (b"vary", b"Accept"))
_CONTENT_SECURITY_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


async def send_listing(  # noqa: PLR0917 - three of them are ASGI's own
    scope: Scope,
    receive: Receive,
    send: Send,
    storage: LocalStorage,
    name: Name,
    extra_fields: Sequence[Field] = (),
) -> None:
    """Answer GET or HEAD of the folder name, extra_fields (CORS) among the response fields.

    A folder that cannot be read is a problem response.  Raises TransferCut when it stops
    answering in mid-stream: the head is out, so a cut is the only honest end.
    """
    form_name = _asked_form(scope)
    if form_name is None:
        refusal = problem(400, "The format of a listing is 'html' or 'json'.")
        await _refuse(scope, send, refusal, extra_fields)
    else:
        form = _FORMS[form_name](name, scope.get("root_path", ""))
        await _send_entries(scope, send, storage, name, form, extra_fields)


async def _send_entries(  # noqa: PLR0917 - as above
    scope: Scope,
    send: Send,
    storage: LocalStorage,
    name: Name,
    form: ListingForm,
    extra_fields: Sequence[Field],
) -> None:
    async with aclosing(storage.list(name)) as batches:
        try:
            # Before the head goes out, because this is where a folder turns out to be unreadable.
            first: list[Entry] = await anext(batches, [])
        except StorageError as error:
            await _refuse(scope, send, problem_for(error), extra_fields)
            return
        verdict = _judge(request_fields(scope["headers"]))
        if verdict is Verdict.FAILED:
            refusal = problem(412, "A listing has no entity tag that could match.")
            await _refuse(scope, send, refusal, extra_fields)
            return
        if verdict is Verdict.NOT_MODIFIED:
            fields = [*_CONTROL, *extra_fields]
            await send({"type": "http.response.start", "status": 304, "headers": fields})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        await send(_head(form, extra_fields))
        if scope["method"] != "HEAD":
            await _send_pieces(send, first, batches, form)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_pieces(
    send: Send, first: list[Entry], batches: AsyncIterator[list[Entry]], form: ListingForm
) -> None:
    await _send_text(send, form.head())
    batch: list[Entry] | None = first
    while batch is not None:
        for start in range(0, len(batch), _ROWS_PER_PIECE):
            await _send_text(send, form.rows(batch[start : start + _ROWS_PER_PIECE]))
            # send returns at once while the client keeps up; the others have their turn here.
            await asyncio.sleep(0)
        try:
            batch = await anext(batches, None)
        except StorageError as error:
            raise TransferCut(EndCause.UNAVAILABLE, "the folder stopped answering") from error
    await _send_text(send, form.tail())


async def _send_text(send: Send, text: str) -> None:
    if text:
        await send({"type": "http.response.body", "body": text.encode("utf-8"), "more_body": True})


def _head(form: ListingForm, extra_fields: Sequence[Field]) -> Message:
    fields = [
        (b"content-type", form.content_type.encode("ascii")),
        *_CONTROL,
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", _CONTENT_SECURITY_POLICY),
        *extra_fields,
    ]
    return {"type": "http.response.start", "status": 200, "headers": fields}


def _judge(fields: dict[str, str]) -> Verdict:
    """Judge the preconditions of a listing, which exists but has neither tag nor date.

    RFC 9110 sections 13.1.1 and 13.1.2: no list of tags matches it, ``*`` does.
    """
    asked = fields.get("if-match")
    if asked is not None and asked.strip() != "*":
        return Verdict.FAILED
    if fields.get("if-none-match", "").strip() == "*":
        return Verdict.NOT_MODIFIED
    return Verdict.PROCEED


async def _refuse(
    scope: Scope, send: Send, refusal: Problem, extra_fields: Sequence[Field]
) -> None:
    await send_problem(scope, send, replace(refusal, fields=(*refusal.fields, *extra_fields)))


def _asked_form(scope: Scope) -> str | None:
    """The name of the form: what `?format=` says, else what Accept prefers; None: no such form.

    A client that accepts neither gets the page (RFC 9110 section 12.4.1 leaves that to us).
    """
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    if "format" in query:
        asked = query["format"][0]
        return asked if asked in _FORMS else None
    accept = [value.decode("latin-1") for key, value in scope["headers"] if key == b"accept"]
    offer = preferred(", ".join(accept) if accept else None, tuple(_OFFERS))
    return _OFFERS[offer] if offer is not None else "html"
