"""What a URL of a file means: the plain ASGI application that everything but /-/ goes to."""

import time
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from operator import itemgetter

from starlette.types import Receive, Scope, Send

from fileserve.access.asking import path_below
from fileserve.access.visit import visit_of
from fileserve.delivery.plan import Field, Plan, Representation, make_plan, request_fields
from fileserve.delivery.request_heads import RequestHead
from fileserve.delivery.responses import new_boundary, whole_body
from fileserve.delivery.transfer import transfer
from fileserve.http.digest_fields import wants_sha256
from fileserve.http.query import first_values
from fileserve.http.resumption import ACCEPT_PATCH, limit_field
from fileserve.http.validators import last_modified
from fileserve.operations.catalog_desk import CatalogDesk
from fileserve.problems import Problem, problem, problem_for, send_problem
from fileserve.settings import Settings
from fileserve.site.cors import cors_fields
from fileserve.site.descriptions import ATTACHMENT, INLINE, SANDBOX, SITE_SANDBOX, description_of
from fileserve.site.extras import Extras
from fileserve.site.known_sums import KnownSums
from fileserve.site.listing import send_listing
from fileserve.site.manifests import manifest_links
from fileserve.site.offload import Offload, is_for_the_front, without_conditions
from fileserve.site.visitors import page_fields, visitor_of
from storage.blob import Blob
from storage.errors import AccessDenied, IsFolder, NameRefused, NotFound, StorageError
from storage.local import LocalStorage
from storage.names import Name, RequestedPath, parse_request_path

_WANT_DIGEST = b"want-repr-digest"
_WITH_DIGEST = (200, 206)
_KEY_OF = itemgetter(0)
_READING = {b"GET": "GET", b"HEAD": "HEAD"}
_NO_ROBOTS: Field = (b"x-robots-tag", b"noindex, nofollow")
_FOR_SHARED_CACHES = ("public", "private", "s-maxage")
INDEX_NAME = b"index.html"
NOT_HERE = "This cannot be done here; the Allow field tells what can."
_ALLOW: Field = (b"allow", b"GET, HEAD, OPTIONS")
_ALLOW_CHANGES: Field = (b"allow", b"GET, HEAD, OPTIONS, PUT, POST, DELETE, MOVE")


class FileSite:
    """Serves the files and folders of a storage, read-only."""

    def __init__(self, settings: Settings, storage: LocalStorage, desk: CatalogDesk) -> None:
        self._settings = settings
        self._sums = KnownSums(desk)
        self._storage = storage
        self._offload = Offload.of_setting(settings.offload, storage.real_root)
        self._has_cors = bool(settings.cors_origins)
        self._index = INDEX_NAME if settings.index else None
        self._sandbox = SITE_SANDBOX if settings.index else SANDBOX
        self.extras = Extras(settings, storage, self._sums)
        self._uploads = _upload_fields(settings)
        # A search engine that obeys would otherwise fetch every file, and every archive of them.
        self._robots: tuple[Field, ...] = () if settings.robots == "allow" else (_NO_ROBOTS,)
        self._page_fields = page_fields(settings)
        self._control: tuple[Field, ...] = (
            (b"cache-control", _cache_control(settings).encode("latin-1")),
            (b"x-content-type-options", b"nosniff"),
            # nginx in front would spool into a temporary file, of 1 GiB at the most.
            (b"x-accel-buffering", b"no"),
            *self._robots,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] not in ("GET", "HEAD"):
            await self._send_no_content(scope, send)
            return
        try:
            requested = parse_request_path(path_below(scope))
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
        except StorageError as error:
            await self._refuse(scope, send, problem_for(error))
        finally:
            await blob.close()

    def plan_at_once(self, request: RequestHead) -> tuple[Plan, Blob] | None:
        """The answer to a request for a file that can be opened without waiting.

        The caller closes the Blob.  None for everything else: __call__ answers it.
        """
        method, target = request.method, request.target
        if target.query or method not in _READING or self._offload is not None:
            return None
        try:
            requested = parse_request_path(target.raw_path)
        except NameRefused:
            return None
        if requested.wants_folder:
            return None
        blob = self._storage.try_open(requested.name)
        if blob is None:
            return None
        try:
            sha256 = self._sums.of_open(requested.name, blob)
            if sha256 is None and _WANT_DIGEST in map(_KEY_OF, request.fields):
                blob.close_at_once()
                return None
            plan = self._plan(
                blob, requested.name, INLINE, _READING[method], request.fields, sha256=sha256
            )
        except BaseException:
            blob.close_at_once()
            raise
        return plan, blob

    async def _send_file(
        self, blob: Blob, name: Name, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["query_string"]:
            fields = [*self._control, *self._cors(scope)]
            if await self.extras.send_of_file(scope, receive, send, name, blob, fields):
                return
        disposition = _disposition(scope)
        plan = self._offloaded(blob, name, disposition, scope)
        if plan is None:
            method, headers = scope["method"], scope["headers"]
            sha256 = self._sums.of_open(name, blob)
            plan = self._plan(blob, name, disposition, method, headers, sha256=sha256)
            # Not before: what the conditions refuse need not be read.
            if sha256 is None and plan.status in _WITH_DIGEST:
                sha256 = await self._wanted_sha256(headers, name, blob)
                if sha256 is not None:
                    plan = self._plan(blob, name, disposition, method, headers, sha256=sha256)
        await transfer(plan, scope, receive, send)

    async def _wanted_sha256(
        self, headers: Iterable[Field], name: Name, blob: Blob
    ) -> bytes | None:
        """The SHA-256 that the request asks for, where the file is small enough to be read."""
        wishes = b", ".join(value for key, value in headers if key == _WANT_DIGEST)
        is_small = blob.complete_length <= self._settings.digest_limit_bytes
        if not (wishes and is_small and wants_sha256(wishes.decode("latin-1"))):
            return None
        return await self._sums.compute(name, blob)

    def _offloaded(self, blob: Blob, name: Name, disposition: str, scope: Scope) -> Plan | None:
        """The answer that has the server in front send blob; None where we do."""
        if self._offload is None or not is_for_the_front(visit_of(scope).link):
            return None
        asked = without_conditions(scope["headers"])
        plan = self._plan(blob, name, disposition, scope["method"], asked, sha256=None)
        return self._offload.instead_of(plan, blob)

    def _plan(
        self,
        blob: Blob,
        name: Name,
        disposition: str,
        method: str,
        headers: Iterable[Field],
        *,
        sha256: bytes | None,
    ) -> Plan:
        now = time.time()
        fingerprint = blob.fingerprint
        modified = last_modified(fingerprint.modified_ns, now)
        control = self._control
        if self._has_cors:
            control = (*control, *cors_fields(self._settings, method, headers))
        description = description_of(
            name.last, disposition, fingerprint, modified, control, self._sandbox, sha256
        )
        fields = request_fields(headers)
        boundary = new_boundary() if "," in fields.get("range", "") else ""
        representation = Representation(whole_body(blob), description)
        return make_plan(method, fields, representation, now=now, boundary=boundary)

    async def _send_folder(
        self, requested: RequestedPath, scope: Scope, receive: Receive, send: Send
    ) -> None:
        link = visit_of(scope).link
        if link is not None and not link.is_folder:
            # It was made for a file, which is gone: what took its place is another thing.
            raise NotFound(f"{requested.name.display} is a folder, the link is for a file.")
        if requested.wants_folder:
            await self._send_inside(requested.name, scope, receive, send)
            return
        # Links in the page are relative to the folder, so its URL ends in a slash.
        location = scope.get("root_path", "") + requested.name.url_path + "/"
        if scope["query_string"]:
            location += "?" + scope["query_string"].decode("latin-1")
        fields = [
            (b"location", location.encode("latin-1")),
            (b"content-length", b"0"),
            *self._control,
            *self._cors(scope),
        ]
        await send({"type": "http.response.start", "status": 301, "headers": fields})
        await send({"type": "http.response.body", "body": b""})

    async def _send_inside(self, name: Name, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for what is in a folder: an archive or a manifest of it, its page."""
        cors = self._cors(scope)
        if scope["query_string"]:
            fields = [*self._control, *cors]
            if await self.extras.send_of_folder(scope, receive, send, name, fields):
                return
        elif self._index is not None:
            with suppress(NotFound, IsFolder, AccessDenied, NameRefused):
                async with self._opened(name.child(self._index)) as blob:
                    await self._send_file(blob, name.child(self._index), scope, receive, send)
                return
        fields = [*cors, *manifest_links(), *self._robots, *self._page_fields]
        visitor = visitor_of(scope, name, self._settings)
        known = self._sums.in_listings
        await send_listing(scope, receive, send, self._storage, name, fields, visitor, known)

    @asynccontextmanager
    async def _opened(self, name: Name) -> AsyncGenerator[Blob, None]:
        blob = await self._storage.open(name)
        try:
            yield blob
        finally:
            await blob.close()

    async def _refuse(self, scope: Scope, send: Send, refusal: Problem) -> None:
        """Send a refusal that scripts of allowed origins can read, too."""
        fields = (*refusal.fields, *self._cors(scope))
        await send_problem(scope, send, replace(refusal, fields=fields))

    async def _send_no_content(self, scope: Scope, send: Send) -> None:
        """Answer OPTIONS with what is allowed, and every other method with 405."""
        allow = _ALLOW_CHANGES if self._settings.writable else _ALLOW
        if scope["method"] != "OPTIONS":
            await self._refuse(scope, send, problem(405, NOT_HERE, allow))
            return
        fields = [allow, *self._uploads, *self._cors(scope)]
        await send({"type": "http.response.start", "status": 204, "headers": fields})
        await send({"type": "http.response.body", "body": b""})

    def _cors(self, scope: Scope) -> list[Field]:
        return cors_fields(self._settings, scope["method"], scope["headers"])


def _cache_control(settings: Settings) -> str:
    """Cache-Control of files: no shared cache may keep what not everybody may read."""
    if not settings.private:
        return settings.cache_control
    directives = [directive.strip() for directive in settings.cache_control.split(",")]
    kept = [each for each in directives if not each.lower().startswith(_FOR_SHARED_CACHES)]
    return ", ".join(["private", *kept])


def _upload_fields(settings: Settings) -> tuple[Field, ...]:
    """What OPTIONS tells of resumable uploads; nothing where nobody uploads."""
    if not settings.writable:
        return ()
    limit, age = settings.upload_limit_bytes, settings.upload_expires_seconds
    return (ACCEPT_PATCH, limit_field(limit, age))


def _disposition(scope: Scope) -> str:
    link = visit_of(scope).link
    if link is not None and link.is_attachment:
        return ATTACHMENT
    query: bytes = scope["query_string"]
    return ATTACHMENT if query and "download" in first_values(query) else INLINE
