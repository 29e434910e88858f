"""What a URL of a file means: the plain ASGI application that everything but /-/ goes to."""

import time
import urllib.parse
from dataclasses import replace
from functools import lru_cache

from starlette.types import Receive, Scope, Send

from fileserve.delivery.body import Slice, body_of
from fileserve.delivery.plan import Field, Representation, make_plan, request_fields
from fileserve.delivery.responses import new_boundary, validators_of
from fileserve.delivery.transfer import transfer
from fileserve.http.disposition import Disposition, content_disposition
from fileserve.http.media_types import is_active, media_type
from fileserve.problems import Problem, problem, problem_for, send_problem
from fileserve.settings import Settings
from fileserve.site.cors import cors_fields
from fileserve.site.listing import send_listing
from storage.blob import Blob
from storage.errors import IsFolder, NotFound, StorageError
from storage.local import LocalStorage
from storage.names import Name, RequestedPath, parse_request_path

_ALLOW: Field = (b"allow", b"GET, HEAD, OPTIONS")
# Scripts of a served page would run as this site; in a sandbox they have no origin and do not run.
_SANDBOX: Field = (b"content-security-policy", b"sandbox")


class FileSite:
    """Serves the files and folders of a storage, read-only."""

    def __init__(self, settings: Settings, storage: LocalStorage) -> None:
        self._settings = settings
        self._storage = storage
        self._control: tuple[Field, ...] = (
            (b"cache-control", settings.cache_control.encode("latin-1")),
            (b"x-content-type-options", b"nosniff"),
            # nginx in front would spool into a temporary file, of 1 GiB at the most.
            (b"x-accel-buffering", b"no"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in ("GET", "HEAD"):
            await self._send_no_content(scope, send)
            return
        try:
            requested = parse_request_path(_raw_path(scope))
            try:
                blob = await self._storage.open(requested.name)
            except IsFolder:
                await self._send_folder(requested, scope, receive, send)
                return
        except StorageError as error:
            await self._refuse(scope, send, problem_for(error))
            return
        try:
            if requested.wants_folder:
                raise NotFound(f"{requested.name.display} is a file, not a folder.")
            await self._send_file(blob, requested.name, scope, receive, send)
        except NotFound as error:
            await self._refuse(scope, send, problem_for(error))
        finally:
            await blob.close()

    async def _send_file(
        self, blob: Blob, name: Name, scope: Scope, receive: Receive, send: Send
    ) -> None:
        now = time.time()
        fields = request_fields(scope["headers"])
        kind, metadata = _described(name.last, _disposition(scope["query_string"]))
        length = blob.complete_length
        representation = Representation(
            body_of([Slice(blob, 0, length)] if length else []),
            validators_of(blob, now),
            kind,
            metadata,
            (*self._control, *cors_fields(self._settings, scope)),
        )
        boundary = new_boundary() if "," in fields.get("range", "") else ""
        plan = make_plan(scope["method"], fields, representation, now=now, boundary=boundary)
        await transfer(plan, scope, receive, send)

    async def _send_folder(
        self, requested: RequestedPath, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if requested.wants_folder:
            cors = cors_fields(self._settings, scope)
            await send_listing(scope, receive, send, self._storage, requested.name, cors)
            return
        # Links in the page are relative to the folder, so its URL ends in a slash.
        location = scope.get("root_path", "") + requested.name.url_path + "/"
        if scope["query_string"]:
            location += "?" + scope["query_string"].decode("latin-1")
        fields = [
            (b"location", location.encode("latin-1")),
            (b"content-length", b"0"),
            *self._control,
            *cors_fields(self._settings, scope),
        ]
        await send({"type": "http.response.start", "status": 301, "headers": fields})
        await send({"type": "http.response.body", "body": b""})

    async def _refuse(self, scope: Scope, send: Send, refusal: Problem) -> None:
        """Send a refusal that scripts of allowed origins can read, too."""
        fields = (*refusal.fields, *cors_fields(self._settings, scope))
        await send_problem(scope, send, replace(refusal, fields=fields))

    async def _send_no_content(self, scope: Scope, send: Send) -> None:
        """Answer OPTIONS with what is allowed, and every other method with 405."""
        if scope["method"] != "OPTIONS":
            detail = "Files and folders are read with GET and HEAD."
            await self._refuse(scope, send, problem(405, detail, _ALLOW))
            return
        fields = [_ALLOW, *cors_fields(self._settings, scope)]
        await send({"type": "http.response.start", "status": 204, "headers": fields})
        await send({"type": "http.response.body", "body": b""})


def _raw_path(scope: Scope) -> bytes:
    """Return the path below this application as it came; servers may leave raw_path out."""
    raw_path = scope.get("raw_path") or urllib.parse.quote(scope["path"]).encode()
    root_path = scope.get("root_path", "").encode()
    return bytes(raw_path.removeprefix(root_path) or b"/")


def _disposition(query: bytes) -> Disposition:
    if not query:
        return Disposition.INLINE
    keys = [parameter.partition(b"=")[0] for parameter in query.split(b"&")]
    return Disposition.ATTACHMENT if b"download" in keys else Disposition.INLINE


@lru_cache(maxsize=4096)
def _described(file_name: bytes, disposition: Disposition) -> tuple[str, tuple[Field, ...]]:
    """Return media type and metadata fields: a function of the name alone."""
    kind = media_type(file_name)
    named = content_disposition(disposition, file_name).encode("latin-1")
    metadata: tuple[Field, ...] = ((b"content-disposition", named),)
    return kind, (*metadata, _SANDBOX) if is_active(kind) else metadata
