"""FileResponse, which any FastAPI or Starlette application can return in place of Starlette's."""

import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.responses import FileResponse as StarletteFileResponse
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from fileserve.delivery.body import EMPTY, Body, Slice
from fileserve.delivery.chunked import ChunkedResponse
from fileserve.delivery.directness import leads_to
from fileserve.delivery.plan import (
    Field,
    Plan,
    Representation,
    describe,
    make_plan,
    request_fields,
)
from fileserve.delivery.scopes import EXCHANGE_EXTENSION
from fileserve.delivery.transfer import transfer
from fileserve.http.validators import (
    Validators,
    last_modified,
    parse_entity_tag,
    parse_http_date,
    strong_entity_tag,
)
from storage.blob import Blob
from storage.errors import IsFolder, NotFound, Unavailable
from storage.paths import open_path

if TYPE_CHECKING:
    import os

_COMPUTED = frozenset(
    {b"content-type", b"content-length", b"accept-ranges", b"etag", b"last-modified"}
)
# Fields that section 15.4.5 of RFC 9110 wants on a 304 too, and those of CORS.
_CONTROL = frozenset({b"cache-control", b"content-location", b"expires", b"vary", b"set-cookie"})


def new_boundary() -> str:
    """Return a multipart boundary that no file contains but by a chance of 1 in 2**96."""
    return secrets.token_hex(12)


def whole_body(blob: Blob) -> Body:
    """Return the body that is the whole file."""
    length = blob.complete_length
    return Body((Slice(blob, 0, length),), length) if length else EMPTY


def validators_of(blob: Blob, now: float) -> Validators:
    """Return the validators of an open file: from its descriptor, never from its path."""
    fingerprint = blob.fingerprint
    etag = strong_entity_tag(
        fingerprint.size, fingerprint.modified_ns, fingerprint.changed_ns, fingerprint.inode
    )
    return Validators(etag, last_modified(fingerprint.modified_ns, now))


class FileResponse(StarletteFileResponse):
    """Starlette's FileResponse, delivered as fileserve delivers: a drop-in replacement.

    Preconditions, ranges and several ranges by RFC 9110; sendfile where the
    server offers ``http.response.zerocopysend``, the file is local and no
    middleware that might not know this message stands between, reads in
    threads otherwise.  Headers and bytes come from one open descriptor; a
    ``stat_result`` given by the caller is not used.  ETag and Last-Modified
    in ``headers`` replace the computed ones.  Raises RuntimeError, like its
    parent, when the path is not a file that can be opened.
    """

    def set_stat_headers(self, stat_result: "os.stat_result") -> None:
        """Do nothing: the open descriptor tells what will be sent, a stat what was there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Open the file, decide, send, close."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        try:
            blob = await open_path(self.path)
        except NotFound as error:
            raise RuntimeError(f"File at path {self.path} does not exist.") from error
        except IsFolder as error:
            raise RuntimeError(f"File at path {self.path} is not a file.") from error
        except Unavailable as error:
            await _send_unavailable(error, scope, receive, send)
            return
        try:
            plan = self._plan(scope, blob)
            exchange = scope.get("extensions", {}).get(EXCHANGE_EXTENSION)
            if exchange is not None and not leads_to(send, exchange.send):
                await ChunkedResponse(plan)(scope, receive, send)
            else:
                await transfer(plan, scope, receive, send)
        finally:
            await blob.close()
        if self.background is not None:
            await self.background()

    def _plan(self, scope: Scope, blob: Blob) -> Plan:
        now = time.time()
        method = scope["method"]
        fields = request_fields(scope["headers"]) if method in ("GET", "HEAD") else {}
        if self.status_code != 200:
            # Conditions and ranges are about the 200 that would have been sent.
            fields = {}
        plan = make_plan(
            method,
            fields,
            self._representation(blob, now),
            now=now,
            boundary=new_boundary() if "," in fields.get("range", "") else "",
        )
        if plan.status == 200:
            return plan._replace(status=self.status_code)
        return plan

    def _representation(self, blob: Blob, now: float) -> Representation:
        metadata: list[Field] = []
        control: list[Field] = []
        for field in self.raw_headers:
            if field[0] in _CONTROL or field[0].startswith(b"access-control-"):
                control.append(field)
            elif field[0] not in _COMPUTED:
                metadata.append(field)
        return Representation(
            whole_body(blob),
            describe(
                _replaced(validators_of(blob, now), self.headers, now),
                self.headers.get("content-type", "application/octet-stream"),
                tuple(metadata),
                tuple(control),
            ),
        )


async def _send_unavailable(error: Unavailable, scope: Scope, receive: Receive, send: Send) -> None:
    fields = {"Retry-After": str(error.retry_after_seconds), "Cache-Control": "no-store"}
    response = PlainTextResponse("The file's storage does not answer.\n", 503, fields)
    await response(scope, receive, send)


def _replaced(validators: Validators, headers: Mapping[str, str], now: float) -> Validators:
    """Return ``validators`` with those that the application set itself."""
    etag = parse_entity_tag(headers.get("etag", ""))
    modified = parse_http_date(headers.get("last-modified", ""), now)
    return Validators(
        etag if etag is not None else validators.etag,
        modified if modified is not None else validators.last_modified,
    )
