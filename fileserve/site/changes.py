"""Everything that changes the served folder: the ASGI application of its methods."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from fileserve.access.asking import path_below
from fileserve.access.visit import visit_of
from fileserve.delivery.plan import request_fields
from fileserve.http.destination import destination_path, hosts_of
from fileserve.http.preconditions import ChangeVerdict, Verdict, evaluate_undated
from fileserve.http.query import first_values
from fileserve.operations.catalog_desk import CatalogDesk
from fileserve.problems import problem, problem_of_change, send_problem
from fileserve.settings import Settings
from fileserve.site.change_requests import (
    FAILED,
    field_of,
    judge,
    location_of,
    require_write,
    send_nothing,
)
from fileserve.site.forms import Forms
from fileserve.site.receiving import ClientGone, Declined
from fileserve.site.resumption import Resumption, is_of_upload, makes_upload
from fileserve.site.tus import TusSite, is_tus, upload_id_in
from fileserve.site.tus_work import TusWork
from fileserve.site.uploads import Uploads
from fileserve.site.write_records import WriteRecords
from storage.atomic import Existing
from storage.blob import Fingerprint
from storage.errors import AlreadyExists, IsFolder, NotFound, StorageError
from storage.landing import NEW, Claim
from storage.library import Scope as Depth
from storage.local import LocalStorage
from storage.names import Name, RequestedPath, parse_request_path
from storage.uploads import ResumableUploads
from storage.writing import Writing

# Uploads with which nobody goes on are looked for so often.
_SWEEP_SECONDS = 3600.0
_MAKING = frozenset(("PUT", "POST"))
_ROOT = Name(())
_UNTAGGED = problem(412, "The condition fails: a folder or a link has no tag, only '*' matches it.")
_TOP = problem(403, "The top folder itself is neither removed, moved nor replaced.")
_Answer = Callable[[RequestedPath, Scope, Receive, Send], Awaitable[None]]


class Changes:
    """Answers the methods that change something, for visitors whom the gate let through."""

    methods = frozenset(("PUT", "POST", "DELETE", "MOVE"))

    def __init__(self, settings: Settings, storage: LocalStorage, desk: CatalogDesk) -> None:
        self._public_url = settings.public_url
        self.writing = Writing(storage, settings.upload_quota_bytes)
        self.records = WriteRecords(desk)
        self.uploads = Uploads(
            self.writing,
            self.records,
            settings.upload_limit_bytes,
            settings.upload_keep_free_bytes,
        )
        work = TusWork(
            self.writing,
            ResumableUploads(self.writing, settings.upload_keep_free_bytes),
            self.records,
            settings.upload_limit_bytes,
            settings.upload_expires_seconds,
        )
        self.tus = TusSite(work)
        self._resumption = Resumption(work, self.uploads)
        self._sweeping: asyncio.Task[None] | None = None
        self._answers: dict[str, _Answer] = {
            "PUT": self.uploads.put,
            "POST": Forms(self.uploads).post,
            "DELETE": self._delete,
            "MOVE": self._move,
        }

    def start(self) -> None:
        """Tidy up after writers that were killed; in the running loop, after a fork."""
        self._sweeping = asyncio.create_task(self._sweep())

    async def stop(self) -> None:
        """Stop tidying up."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request with one of methods."""
        try:
            requested = parse_request_path(path_below(scope))
            if scope["method"] == "POST" and is_tus(scope):
                await self.tus.create_in(requested.name, scope, receive, send)
                return
            answer = self._answers[scope["method"]]
            if scope["method"] in _MAKING and makes_upload(scope):
                answer = self._make_upload
            await answer(requested, scope, receive, send)
        except Declined as declined:
            await send_problem(scope, send, declined.refusal)
        except StorageError as error:
            await send_problem(scope, send, problem_of_change(error))
        except ClientGone:
            return

    async def at_uploads(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for /-/uploads/ or for what lies below it, in its protocol."""
        upload_id = upload_id_in(scope)
        if upload_id and is_of_upload(scope):
            await self._resumption.of_upload(upload_id, scope, receive, send)
        elif scope["method"] == "POST" and makes_upload(scope):
            await self._resumption.create_in(_ROOT, scope, receive, send)
        else:
            await self.tus(scope, receive, send)

    async def _make_upload(
        self, requested: RequestedPath, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if scope["method"] == "PUT":
            await self._resumption.put(requested, scope, receive, send)
        else:
            await self._resumption.create_in(requested.name, scope, receive, send)

    async def _sweep(self) -> None:
        await self.writing.sweep()
        while True:
            await self.tus.sweep()
            await asyncio.sleep(_SWEEP_SECONDS)

    async def _delete(
        self, requested: RequestedPath, scope: Scope, _receive: Receive, send: Send
    ) -> None:
        """Remove a file, an empty folder, or with ?recursive a folder and all it holds."""
        name = requested.name
        require_write(scope, name)
        _refuse_top(name)
        expected = await self._expected(requested, scope)
        is_recursive = "recursive" in first_values(scope["query_string"])
        depth = Depth.TREE if is_recursive else Depth.ENTRY
        await self.writing.remove(name, depth, expected)
        self.records.removed(visit_of(scope), name)
        await send_nothing(send, 204)

    async def _move(
        self, requested: RequestedPath, scope: Scope, _receive: Receive, send: Send
    ) -> None:
        """Give a file or folder another name (RFC 4918 section 9.9)."""
        old, new = requested.name, self._destination(scope).name
        require_write(scope, old)
        require_write(scope, new)
        _refuse_top(old)
        _refuse_top(new)
        expected = await self._expected(requested, scope)
        if old == new:
            raise Declined(problem(403, "This is its address already."))
        replaced = await self._replaced(scope, new)
        state = await self.writing.move(old, new, replaced, expected)
        self.records.moved(visit_of(scope), old, new, state)
        is_new = replaced is NEW
        await send_nothing(send, 201 if is_new else 204, (location_of(scope, new),))

    def _destination(self, scope: Scope) -> RequestedPath:
        value = field_of(scope, b"destination")
        if value is None:
            raise Declined(problem(400, "MOVE needs the new address in a Destination field."))
        hosts = hosts_of(field_of(scope, b"host") or b"", self._public_url)
        path = destination_path(value, hosts)
        root_path = scope.get("root_path", "").encode()
        if path is None or not path.startswith(root_path + b"/"):
            raise Declined(problem(502, "The Destination is not an address of this server."))
        return parse_request_path(path.removeprefix(root_path))

    async def _expected(self, requested: RequestedPath, scope: Scope) -> Fingerprint | None:
        """The state in which the conditions want a file that is moved or removed; None: any.

        Raises NotFound where there is nothing, and Declined where a condition does not hold.
        """
        try:
            current = await self.uploads.state_of(requested.name)
        except (IsFolder, AlreadyExists) as found:
            # A folder or a link: neither has an entity tag, so only "*" matches (RFC 9110, 13.1).
            fields = request_fields(scope["headers"])
            if evaluate_undated(fields, None) is not Verdict.PROCEED:
                raise Declined(_UNTAGGED) from found
            return None
        if current is None or requested.wants_folder:
            raise NotFound(f"{requested.name.display}: not found")
        match judge(scope, current):
            case ChangeVerdict.FAILED:
                raise Declined(FAILED)
            case ChangeVerdict.UNGUARDED:
                return None
            case ChangeVerdict.PROCEED:
                return current

    async def _replaced(self, scope: Scope, new: Name) -> Claim:
        """What may have the new name of a MOVE; raises Declined where Overwrite does not say so."""
        current = await self.uploads.state_of(new)
        if current is None:
            return NEW
        if (field_of(scope, b"overwrite") or b"F").strip().upper() != b"T":
            raise Declined(problem(412, "There is a file already; 'Overwrite: T' replaces it."))
        return Claim(Existing.REPLACE, current)


def _refuse_top(name: Name) -> None:
    """Raise Declined for the root itself."""
    if not name.segments:
        raise Declined(_TOP)
