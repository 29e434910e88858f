"""Sends a plan: zero-copy where server and files allow it, in chunks otherwise."""

from starlette.types import Receive, Scope, Send

from fileserve.delivery.body import Body, Slice
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
    return all(isinstance(segment, bytes) or segment.file.zero_copy for segment in body.segments)


async def _send_segments(body: Body, send: Send) -> None:
    last = len(body.segments) - 1
    for index, segment in enumerate(body.segments):
        more_body = index < last
        if isinstance(segment, Slice):
            await send(
                {
                    "type": "http.response.zerocopysend",
                    "file": segment.file,
                    "offset": segment.start,
                    "count": segment.stop - segment.start,
                    "more_body": more_body,
                }
            )
        else:
            await send({"type": "http.response.body", "body": segment, "more_body": more_body})
