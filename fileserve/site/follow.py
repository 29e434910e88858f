"""Answers `?follow`: a file and what is appended to it, as bytes or as Server-Sent Events."""

import asyncio
import time
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send

from fileserve.http.disposition import content_disposition
from fileserve.http.media_types import is_active, media_type
from fileserve.problems import Field, Problem, problem
from fileserve.site.follow_request import (
    FollowForm,
    FollowRequest,
    FromTail,
    is_of,
    parse_follow_request,
    start_offset,
)
from fileserve.site.follow_sinks import ByteSink, EventSink, Sink
from fileserve.site.following import Follower, FollowLimits
from fileserve.site.server_sent_events import EVENT_STREAM, LineEvents, Position
from fileserve.site.unvalidated import is_settled, refuse
from fileserve.site.vigil import vigil_over
from storage.blob import Blob
from storage.growing import Opens
from storage.names import Name

_SANDBOX: Field = (b"content-security-policy", b"sandbox")
# Of the fields that go with every answer these have other values here.
_OWN_FIELDS = (b"cache-control", b"x-accel-buffering")
_CONTROL: tuple[Field, ...] = ((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))


async def send_follow(  # noqa: PLR0917 - three of them are ASGI's own
    scope: Scope,
    receive: Receive,
    send: Send,
    storage: Opens,
    name: Name,
    blob: Blob,
    limits: FollowLimits,
    stopping: asyncio.Event,
    fields: Sequence[Field] = (),
) -> None:
    """Answer GET or HEAD of `?follow` on the file name, opened as blob, which stays the caller's.

    stopping is set when the service stops: streams end then.  Raises TransferCut when the bytes
    that were sent cannot be taken for the whole.
    """
    fields = [field for field in fields if field[0] not in _OWN_FIELDS]
    request = parse_follow_request(scope["headers"], scope["query_string"], media_type(name.last))
    if isinstance(request, Problem):
        await refuse(scope, send, request, fields)
        return
    if await is_settled(scope, send, [*_CONTROL, *fields]):
        return
    mark = blob.fingerprint
    offset = start_offset(request.start, request.reached, mark.size, mark.inode)
    if offset is None:
        await refuse(scope, send, _beyond(mark.size), fields)
    elif _is_finished(request, blob, limits, time.time()):
        # Nothing but this makes an EventSource give up (HTML standard, section 9.2.3).
        await _send_empty(send, 204, [*_CONTROL, *fields])
    elif scope["method"] == "HEAD":
        await _send_empty(send, 200, [*_described(name, request), *_CONTROL, *fields])
    else:
        await _send_head(send, 200, [*_described(name, request), *_CONTROL, *fields])
        sink = _sink(request, blob, offset, scope, send)
        async with vigil_over(receive, stopping) as vigil:
            await Follower(storage, name, blob, sink, limits).run(vigil)


def _sink(request: FollowRequest, blob: Blob, offset: int, scope: Scope, send: Send) -> Sink:
    if request.form is FollowForm.BYTES:
        return ByteSink(blob, offset, scope, send)
    is_amid = isinstance(request.start, FromTail) and request.reached is None and offset > 0
    # The byte before tells whether a line begins here.
    start = offset - 1 if is_amid else offset
    lines = LineEvents(Position(start, blob.fingerprint.inode))
    if is_amid:
        lines.skip_to_line_start()
    return EventSink(blob, lines, send)


def _is_finished(request: FollowRequest, blob: Blob, limits: FollowLimits, now: float) -> bool:
    """Whether a reader of events has had all of a file whose writer has stopped.

    Told from the file alone, so that it holds in another worker and after a restart.
    """
    mark, reached = blob.fingerprint, request.reached
    if request.form is not FollowForm.EVENTS or reached is None or reached.offset != mark.size:
        return False
    is_idle = now - mark.modified_ns / 1e9 >= limits.idle_seconds
    return is_idle and is_of(reached, mark.size, mark.inode)


def _described(name: Name, request: FollowRequest) -> list[Field]:
    """The fields that describe the content; no validators: it changes while it is sent."""
    unranged: Field = (b"accept-ranges", b"none")
    if request.form is FollowForm.EVENTS:
        kind = f"{EVENT_STREAM}; charset=utf-8"
        return [(b"content-type", kind.encode()), (b"vary", b"Accept"), unranged]
    kind = media_type(name.last)
    disposition = content_disposition(request.disposition, name.last)
    return [
        (b"content-type", kind.encode("latin-1")),
        (b"content-disposition", disposition.encode("latin-1")),
        (b"vary", b"Accept"),
        unranged,
        *([_SANDBOX] if is_active(kind) else []),
    ]


def _beyond(size: int) -> Problem:
    return problem(416, "The file is shorter than that.", (b"content-range", b"bytes */%d" % size))


async def _send_head(send: Send, status: int, fields: Sequence[Field]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(fields)})


async def _send_empty(send: Send, status: int, fields: Sequence[Field]) -> None:
    await _send_head(send, status, fields)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
