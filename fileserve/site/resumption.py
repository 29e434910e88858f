"""Resumable uploads as the IETF drafts them: which request does what.

draft-ietf-httpbis-resumable-upload-11.  A PUT or POST with Upload-Complete makes an upload, which
has the address /-/uploads/ID, told in a 104, until its last bytes have made it the file.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import replace

from starlette.types import Receive, Scope, Send

from fileserve.access.visit import visit_of
from fileserve.delivery.interim import can_send_interim, send_interim
from fileserve.http.resumption import (
    ACCEPT_PATCH,
    RESUMPTION_SUPPORTED,
    interop_version,
    is_partial_upload,
    limit_field,
    parse_asked,
)
from fileserve.http.tus import Creation, is_upload_id, parse_metadata, tus_fields
from fileserve.problems import Field, Problem, problem, problem_of_change, send_problem
from fileserve.site.change_requests import (
    content_length_of,
    field_of,
    require_plain_content,
)
from fileserve.site.form_parts import file_name_in
from fileserve.site.receiving import ClientGone, Declined
from fileserve.site.resumption_answers import (
    COMPLETE,
    INCOMPLETE,
    Answer,
    already_complete,
    inconsistent_length,
    offset_field,
    wrong_offset,
)
from fileserve.site.resumption_content import (
    Request,
    digest_told,
    finish,
    length_of,
    length_told,
    take,
)
from fileserve.site.tus_answers import UPLOAD_ALLOW, UPLOADS_PATH
from fileserve.site.tus_creation import session_of
from fileserve.site.tus_work import TusWork, is_file, require_owner
from fileserve.site.uploads import Uploads, claim_of
from storage.errors import NotFound, StorageError
from storage.names import Name, RequestedPath
from storage.upload_growing import Upload
from storage.upload_sessions import Session

_BESIDE = b"part"
_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


def makes_upload(scope: Scope) -> bool:
    """Whether a PUT or POST makes an upload, and is not answered as if nothing was said of that.

    A PUT of all bytes is as any other where no 104 could tell an address to go on at.
    """
    fields = tus_fields(scope["headers"])
    is_last = parse_asked(fields).is_last
    if is_last is None or "tus-resumable" in fields:
        return False
    if scope["method"] == "POST":
        return not fields.get("content-type", "").lower().startswith(_FORMS)
    return not is_last or _can_tell(scope, fields)


def is_of_upload(scope: Scope) -> bool:
    """Whether a request to /-/uploads/ or below it is by this protocol, and not by tus."""
    fields = tus_fields(scope["headers"])
    if "tus-resumable" in fields:
        return False
    if scope["method"] in ("HEAD", "DELETE"):
        return True
    return "upload-complete" in fields or is_partial_upload(fields)


class Resumption:
    """Answers the requests of this protocol."""

    def __init__(self, work: TusWork, uploads: Uploads) -> None:
        self._work = work
        self._uploads = uploads

    async def put(
        self, requested: RequestedPath, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a PUT that makes_upload."""
        request = Request.of(scope, receive)
        await self._answer(self._put(requested, request), scope, send)

    async def create_in(self, folder: Name, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a POST that makes_upload to the address of a folder, or to /-/uploads/."""
        request = Request.of(scope, receive)
        await self._answer(self._post(folder, request), scope, send)

    async def of_upload(self, upload_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to the address of an upload."""
        request = Request.of(scope, receive)
        await self._answer(self._of_upload(upload_id, request), scope, send)

    async def _answer(self, answering: Awaitable[Answer], scope: Scope, send: Send) -> None:
        try:
            answer = await answering
        except ClientGone:
            return
        except Declined as declined:
            await send_problem(scope, send, self._explained(declined.refusal))
        except StorageError as error:
            await send_problem(scope, send, problem_of_change(error))
        else:
            await answer.send(send)

    def _explained(self, refusal: Problem) -> Problem:
        """The refusal; one of a size with what may be ("Limits")."""
        if refusal.status != 413:
            return refusal
        return replace(refusal, fields=(*refusal.fields, self._limit_field()))

    def _limit_field(self) -> Field:
        return limit_field(self._work.limit, self._work.expires_seconds)

    async def _put(self, requested: RequestedPath, request: Request) -> Answer:
        scope, length = request.scope, length_told(request, 0, None)
        current = await self._uploads.replaced_by_put(requested, scope, length)
        claim = claim_of(scope, current)
        session = Session("", requested.name, None, visit_of(scope).who)
        claiming = replace(session, existing=claim.existing, expected=claim.expected)
        return await self._create(claiming, requested.name, request)

    async def _post(self, folder: Name, request: Request) -> Answer:
        scope = request.scope
        require_plain_content(scope)
        creation = Creation(None, metadata=_metadata(request))
        session = await session_of(self._work, creation, folder, scope)
        return await self._create(session, folder.child(_BESIDE), request)

    async def _create(self, session: Session, beside: Name, request: Request) -> Answer:
        """Make an upload and take what came with the request ("Upload Creation")."""
        length = length_of(self._work, request, 0, None)
        sha256 = digest_told(request.scope, b"repr-digest")
        session = replace(
            session,
            length=length if request.asked.is_last else None,
            announced=length,
            sha256=None if sha256 is None else sha256.hex(),
        )
        upload = await self._work.uploads.begin(session, beside)
        is_told = False
        try:
            await upload.require_room(length or 0)
            if _can_tell(request.scope, request.fields):
                is_told = True
                await self._tell_address(upload, request)
            answer = await take(self._work, upload, request)
            if answer is None:
                address = _address(upload, request.scope)
                more = (offset_field(upload.offset), INCOMPLETE, self._limit_field())
                answer = Answer(201, (address, *more))
            return answer
        except BaseException:
            if not is_told:
                # Nobody has heard its address.
                await self._work.uploads.remove(upload)
            raise
        finally:
            await self._work.uploads.release(upload)

    async def _tell_address(self, upload: Upload, request: Request) -> None:
        version = interop_version(request.fields) or ""
        await send_interim(
            request.scope,
            RESUMPTION_SUPPORTED,
            (
                (b"upload-draft-interop-version", version.encode()),
                _address(upload, request.scope),
                self._limit_field(),
            ),
        )

    async def _of_upload(self, upload_id: str, request: Request) -> Answer:
        if not is_upload_id(upload_id):
            raise NotFound("not the id of an upload")
        match request.scope["method"]:
            case "HEAD":
                return await self._tell(upload_id, request.scope)
            case "DELETE":
                await self._work.terminate(upload_id, visit_of(request.scope))
                return Answer(204)
            case "PATCH":
                return await self._append(upload_id, request)
            case _:
                raise Declined(problem(405, "Uploads know no such method.", UPLOAD_ALLOW))

    async def _tell(self, upload_id: str, scope: Scope) -> Answer:
        """HEAD: how far it is ("Offset Retrieval"); whoever still writes to it lets go of it."""
        work = self._work
        found = await work.uploads.take(upload_id)
        if isinstance(found, Session):
            require_owner(visit_of(scope), found)
            return self._standing(found, found.length or 0, COMPLETE)
        try:
            require_owner(visit_of(scope), found.session)
            if found.is_whole and is_file(found.session):
                # All bytes had come when the server was killed or the name was taken.
                await finish(self._work, found, scope)
            is_complete = COMPLETE if found.is_whole else INCOMPLETE
            return self._standing(found.session, found.offset, is_complete)
        finally:
            await work.uploads.release(found)

    def _standing(self, session: Session, offset: int, is_complete: Field) -> Answer:
        fields = [offset_field(offset), is_complete, self._limit_field()]
        length = session.length if session.announced is None else session.announced
        if length is not None:
            fields.append((b"upload-length", b"%d" % length))
        return Answer(204, tuple(fields))

    async def _append(self, upload_id: str, request: Request) -> Answer:
        """PATCH: the next bytes ("Upload Append")."""
        asked, scope = request.asked, request.scope
        if not is_partial_upload(request.fields):
            detail = "The content of an upload has a media type of its own."
            raise Declined(problem(415, detail, ACCEPT_PATCH))
        if asked.offset is None or asked.is_last is None:
            raise Declined(problem(400, "Upload-Offset and Upload-Complete should be there."))
        require_plain_content(scope)
        found = await self._work.uploads.take(upload_id)
        if isinstance(found, Session):
            require_owner(visit_of(scope), found)
            raise Declined(_refused_by_complete(scope))
        try:
            require_owner(visit_of(scope), found.session)
            if asked.offset != found.offset:
                raise Declined(wrong_offset(asked.offset, found.offset))
            answer = await take(self._work, found, request)
            return answer or Answer(204, (offset_field(found.offset), INCOMPLETE))
        finally:
            await self._work.uploads.release(found)


def _can_tell(scope: Scope, fields: Mapping[str, str]) -> bool:
    """Whether the client understands a 104, and would get one."""
    return interop_version(fields) is not None and can_send_interim(scope)


def _address(upload: Upload, scope: Scope) -> Field:
    address = f"{scope.get('root_path', '')}{UPLOADS_PATH}{upload.session.upload_id}"
    return (b"location", address.encode("latin-1"))


def _metadata(request: Request) -> Mapping[str, bytes]:
    """What a POST says of the file: as clients of tus do, or its name as any other."""
    written = request.fields.get("upload-metadata")
    if written is None:
        disposition = field_of(request.scope, b"content-disposition") or b""
        return {"filename": file_name_in(disposition) or b""}
    metadata = parse_metadata(written)
    if metadata is None:
        raise Declined(problem(400, "Upload-Metadata is not a list of keys with Base64 values."))
    return metadata


def _refused_by_complete(scope: Scope) -> Problem:
    if content_length_of(scope) == 0:
        return already_complete()
    return inconsistent_length("The upload is complete, and takes no more bytes.")
