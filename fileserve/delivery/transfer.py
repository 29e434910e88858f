"""Sends a plan: zero-copy where server and files allow it, in chunks otherwise."""

from contextlib import aclosing

from starlette.types import Message, Receive, Scope, Send

from fileserve.delivery.body import Body, Slice, Stretch
from fileserve.delivery.chunked import ChunkedResponse
from fileserve.delivery.plan import Plan


async def transfer(plan: Plan, scope: Scope, receive: Receive, send: Send) -> None:
    """Send head and body of ``plan``; the files in it stay the caller's to close.

    Raises TransferCut when the body could not be completed: the connection is
    lost then.
    """
    if not plan.body.segments:
        await send({"type": "http.response.start", "status": plan.status, "headers": plan.fields})
        await send({"type": "http.response.body", "body": b""})
    elif "http.response.zerocopysend" in scope.get("extensions", ()) and _is_zero_copy(plan.body):
        await send({"type": "http.response.start", "status": plan.status, "headers": plan.fields})
        await _send_segments(plan.body, send)
    else:
        await ChunkedResponse(plan)(scope, receive, send)


def _is_zero_copy(body: Body) -> bool:
    return all(
        not isinstance(segment, Slice) or segment.file.zero_copy for segment in body.segments
    )


async def _send_segments(body: Body, send: Send) -> None:
    last = len(body.segments) - 1
    for index, segment in enumerate(body.segments):
        more_body = index < last
        if isinstance(segment, Slice):
            await send(_zero_copy(segment, more_body=more_body))
        elif isinstance(segment, bytes):
            await send({"type": "http.response.body", "body": segment, "more_body": more_body})
        else:
            await _send_stretch(segment, send)
            if not more_body:
                await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_stretch(stretch: Stretch, send: Send) -> None:
    async with aclosing(stretch.series.pieces(stretch.start, stretch.stop)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Slice):
                await send(_zero_copy(piece, more_body=True))
            else:
                await send({"type": "http.response.body", "body": piece, "more_body": True})


def _zero_copy(segment: Slice, *, more_body: bool) -> Message:
    return {
        "type": "http.response.zerocopysend",
        "file": segment.file,
        "offset": segment.start,
        "count": segment.stop - segment.start,
        "more_body": more_body,
    }
