"""Answers `?qr`: the address of a file or folder as a picture that phones read."""

import asyncio
import io
from collections.abc import Sequence
from functools import lru_cache

from starlette.types import Scope, Send

from fileserve.problems import Field, problem
from fileserve.site.addresses import base_url
from fileserve.site.unvalidated import is_settled, refuse
from storage.executor import DaemonExecutor

# A longer one is a carpet that few phones read, and takes 100 ms to lay.
MAX_ADDRESS_LENGTH = 1_000
_QUIET_MODULES = 4
# Drawing takes 10 ms of nothing but Python: one after the other, beside the event loop.
_drawing = DaemonExecutor("qr", 1)

_FIELDS: tuple[Field, ...] = (
    (b"content-type", b"image/svg+xml"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


async def send_qr(
    scope: Scope, send: Send, path: str, public_url: str | None, fields: Sequence[Field] = ()
) -> None:
    """Answer GET or HEAD with the QR code of path, which is that of a URL below this service.

    fields (control) are among the response's.
    """
    base = base_url(scope, public_url)
    if base is None:
        refusal = problem(400, "The request does not say which host it is for.")
        await refuse(scope, send, refusal, fields)
        return
    address = base + path
    if len(address) > MAX_ADDRESS_LENGTH:
        refusal = problem(400, "This address is too long for a QR code.")
        await refuse(scope, send, refusal, fields)
        return
    if await is_settled(scope, send, fields):
        return
    content = await asyncio.wrap_future(_drawing.submit(qr_code, address))
    headers = [*_FIELDS, (b"content-length", b"%d" % len(content)), *fields]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else content
    await send({"type": "http.response.body", "body": body, "more_body": False})


@lru_cache(maxsize=64)
def qr_code(address: str) -> bytes:
    """The QR code of address as an SVG picture, dark on white whatever the page's colours are."""
    import segno  # noqa: PLC0415 - 2 MiB that most servers never need

    code = segno.make_qr(address, error="l", boost_error=True)
    picture = io.BytesIO()
    code.save(
        picture, kind="svg", border=_QUIET_MODULES, dark="#000", light="#fff", omitsize=True,
        xmldecl=False, svgclass=None, lineclass=None, title="QR code of this address",
    )  # fmt: skip
    return picture.getvalue()
