"""Resumable uploads by tus 1.0.0: which request does what.

The protocol: https://tus.io/protocols/resumable-upload.  A file is created by POST, at
/-/uploads/ or at the folder where it will be, and from then on has the address /-/uploads/ID.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

from starlette.types import Receive, Scope, Send

from fileserve.access.asking import path_below
from fileserve.access.visit import visit_of
from fileserve.http.tus import (
    Continuation,
    is_upload_id,
    is_version_spoken,
    parse_continuation,
    tus_fields,
)
from fileserve.problems import Problem, problem_of_change, send_problem
from fileserve.site.change_requests import require_plain_content
from fileserve.site.receiving import ClientGone, Declined
from fileserve.site.tus_answers import (
    TUS_RESUMABLE,
    UPLOADS_PATH,
    Answer,
    capabilities,
    progressed,
    standing,
    tus_problem,
    wrong_method,
    wrong_version,
)
from fileserve.site.tus_creation import create
from fileserve.site.tus_work import TusWork, is_file, parsed, require_content, require_owner
from storage.errors import NotFound, StorageError
from storage.names import Name
from storage.upload_growing import Upload
from storage.upload_sessions import Session

_ROOT = Name(())


class TusSite:
    """Answers the requests of resumable uploads."""

    def __init__(self, work: TusWork) -> None:
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for /-/uploads/ or for what lies below it."""
        upload_id = upload_id_in(scope)
        fields = tus_fields(scope["headers"])
        await self._answer(upload_id, _ROOT, fields, scope, receive, send)

    async def create_in(self, folder: Name, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a POST with Tus-Resumable to the address of a folder."""
        await self._answer("", folder, tus_fields(scope["headers"]), scope, receive, send)

    async def sweep(self) -> None:
        """Forget the uploads with which nobody goes on any more."""
        await self._work.uploads.sweep(time.time(), self._work.expires_seconds)

    async def _answer(  # noqa: PLR0917 - three of them are ASGI's own
        self,
        upload_id: str,
        folder: Name,
        fields: Mapping[str, str],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        try:
            if upload_id:
                answer = await self._of_upload(upload_id, scope, receive, fields)
            else:
                answer = await self._of_collection(folder, scope, receive, fields)
        except ClientGone:
            return
        except Declined as declined:
            await _refuse(scope, send, declined.refusal)
        except StorageError as error:
            await _refuse(scope, send, problem_of_change(error))
        else:
            await _send(answer, send)

    async def _of_collection(
        self, folder: Name, scope: Scope, receive: Receive, fields: Mapping[str, str]
    ) -> Answer:
        method = _method_of(scope, fields)
        if method == "OPTIONS":
            return self._capabilities("")
        if method != "POST":
            raise Declined(wrong_method(""))
        _require_version(fields)
        return await create(self._work, folder, scope, receive, fields)

    async def _of_upload(
        self, upload_id: str, scope: Scope, receive: Receive, fields: Mapping[str, str]
    ) -> Answer:
        method = _method_of(scope, fields)
        if method == "OPTIONS":
            return self._capabilities(upload_id)
        _require_version(fields)
        if not is_upload_id(upload_id):
            raise NotFound("not the id of an upload")
        match method:
            case "HEAD":
                return await self._tell(upload_id, scope)
            case "PATCH":
                return await self._continue(upload_id, scope, receive, fields)
            case "DELETE":
                await self._work.terminate(upload_id, visit_of(scope))
                return Answer(204)
            case _:
                raise Declined(wrong_method(upload_id))

    def _capabilities(self, upload_id: str) -> Answer:
        return capabilities(self._work.limit, self._work.expires_seconds, upload_id)

    async def _tell(self, upload_id: str, scope: Scope) -> Answer:
        """HEAD: how far it is.  A client that asks does so since it lost its last request."""
        work = self._work
        found = await work.uploads.take(upload_id)
        if isinstance(found, Session):
            require_owner(visit_of(scope), found)
            return standing(found, found.length or 0, work.expires_at())
        try:
            require_owner(visit_of(scope), found.session)
            if found.is_whole and is_file(found.session):
                # All bytes had come when the server was killed or the name was taken.
                await work.publish(found, scope)
            return standing(found.session, found.offset, work.expires_at())
        finally:
            await work.uploads.release(found)

    async def _continue(
        self, upload_id: str, scope: Scope, receive: Receive, fields: Mapping[str, str]
    ) -> Answer:
        """PATCH: the next bytes."""
        continuation = parsed(parse_continuation(fields))
        require_plain_content(scope)
        found = await self._work.uploads.resume(upload_id)
        if isinstance(found, Session):
            return _continue_done(found, continuation, scope)
        try:
            await self._append(found, continuation, scope, receive)
            if not (found.is_whole and is_file(found.session)):
                return progressed(found.offset, self._work.expires_at())
            more = await self._work.publish(found, scope)
            return progressed(found.offset, None, *more)
        finally:
            await self._work.uploads.release(found)

    async def _append(
        self, upload: Upload, continuation: Continuation, scope: Scope, receive: Receive
    ) -> None:
        require_owner(visit_of(scope), upload.session)
        if continuation.offset != upload.offset:
            raise Declined(_wrong_offset(upload.offset))
        if continuation.length is not None:
            await self._take_length(upload, continuation.length)
        require_content(scope, upload.session.length, upload.offset)
        await self._work.receive(upload, scope, receive, continuation.checksum)

    async def _take_length(self, upload: Upload, length: int) -> None:
        """Note a length that was deferred; once it is known it does not change."""
        known = upload.session.length
        if known == length:
            return
        if known is not None or length < upload.offset:
            raise Declined(tus_problem(400, "Upload-Length is another one than before."))
        self._work.require_length(length)
        await upload.run(lambda: upload.opened.set_length(length))


def _continue_done(session: Session, continuation: Continuation, scope: Scope) -> Answer:
    """PATCH to an upload that is complete: the answer to the last one may have been lost."""
    require_owner(visit_of(scope), session)
    if session.part_ids:
        raise Declined(tus_problem(403, "An upload that was joined takes no bytes."))
    length = session.length or 0
    if continuation.offset != length:
        raise Declined(_wrong_offset(length))
    require_content(scope, length, length)
    return progressed(length, None)


def _wrong_offset(offset: int) -> Problem:
    detail = f"The upload goes on at byte {offset}."
    return tus_problem(409, detail, (b"upload-offset", b"%d" % offset))


def _require_version(fields: Mapping[str, str]) -> None:
    if not is_version_spoken(fields):
        raise Declined(wrong_version())


def _method_of(scope: Scope, fields: Mapping[str, str]) -> str:
    """What is asked for ("X-HTTP-Method-Override"); only POST may mean something else: what
    browsers and proxies take for harmless should be it."""
    method: str = scope["method"]
    return fields.get("x-http-method-override", method) if method == "POST" else method


def is_tus(scope: Scope) -> bool:
    """Whether a POST to a folder is by this protocol, and not the form of a page."""
    return any(name == TUS_RESUMABLE[0] for name, _ in scope["headers"])


def upload_id_in(scope: Scope) -> str:
    """What comes after /-/uploads/ in the path as it came; nothing for the collection."""
    return path_below(scope).decode("latin-1").removeprefix(UPLOADS_PATH.rstrip("/")).strip("/")


async def _send(answer: Answer, send: Send) -> None:
    await send(
        {"type": "http.response.start", "status": answer.status, "headers": answer.all_fields}
    )
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _refuse(scope: Scope, send: Send, refusal: Problem) -> None:
    names = {name for name, _ in refusal.fields}
    fields = refusal.fields if TUS_RESUMABLE[0] in names else (TUS_RESUMABLE, *refusal.fields)
    await send_problem(scope, send, replace(refusal, fields=fields))
