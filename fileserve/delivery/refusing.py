"""What the server itself answers, without asking an application, and closes the connection."""

import json
from collections.abc import Iterable

from starlette.types import Send

from fileserve.http.request_head import Refusal

FAILED = Refusal(500, "Internal Server Error", "The server could not do this.")


async def refuse(send: Send, refusal: Refusal, fields: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer with problem details (RFC 9457) and close the connection."""
    problem = {
        "type": "about:blank",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
    }
    text = json.dumps(problem).encode()
    head = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(text)),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
        *fields,
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": head})
    await send({"type": "http.response.body", "body": text})
