"""Creates resumable uploads: what a POST asks for becomes a session, or a file at once."""

from collections.abc import Mapping
from dataclasses import replace

from starlette.types import Receive, Scope

from fileserve.access.visit import visit_of
from fileserve.http.tus import (
    Creation,
    Final,
    Partial,
    has_upload,
    parse_checksum,
    parse_creation,
)
from fileserve.site.change_requests import (
    field_of,
    require_plain_content,
    require_state,
    require_write,
)
from fileserve.site.receiving import Declined
from fileserve.site.tus_answers import Answer, created, tus_problem
from fileserve.site.tus_work import TusWork, is_file, parsed, require_content
from storage.atomic import Existing
from storage.errors import NameRefused
from storage.joining import NotWhole, join
from storage.names import Name
from storage.upload_growing import Upload
from storage.upload_sessions import Kind, Session

_TRUE = (b"true", b"1", b"yes")
_BESIDE = b"part"


async def create(
    work: TusWork, folder: Name, scope: Scope, receive: Receive, fields: Mapping[str, str]
) -> Answer:
    """Answer a POST; raises Declined, ClientGone and StorageErrors: then there is no upload."""
    creation = parsed(parse_creation(fields))
    checksum = parsed(parse_checksum(fields.get("upload-checksum")))
    work.require_length(creation.length)
    session = await session_of(work, creation, folder, scope)
    if isinstance(creation.concatenation, Final):
        return await _join(work, session, scope)
    brings_bytes = has_upload(fields)
    if brings_bytes:
        require_plain_content(scope)
        require_content(scope, creation.length, 0)
    upload = await work.uploads.begin(session, folder.child(_BESIDE))
    try:
        if brings_bytes:
            await work.receive(upload, scope, receive, checksum)
        elif creation.length is not None:
            await upload.require_room(creation.length)
        return await _created(work, upload, scope, upload.offset if brings_bytes else None)
    except BaseException:
        # Nobody has heard its address.
        await work.uploads.remove(upload)
        raise
    finally:
        await work.uploads.release(upload)


async def _created(work: TusWork, upload: Upload, scope: Scope, offset: int | None) -> Answer:
    upload_id, root_path = upload.session.upload_id, scope.get("root_path", "")
    if upload.is_whole and is_file(upload.session):
        more = await work.publish(upload, scope)
        return created(upload_id, root_path, offset, None, *more)
    return created(upload_id, root_path, offset, work.expires_at())


async def _join(work: TusWork, session: Session, scope: Scope) -> Answer:
    try:
        whole, arrival = await join(work.uploads, session, work.require_length)
    except NotWhole as error:
        raise Declined(
            tus_problem(400, "A part of this is not complete, or went into another file.")
        ) from error
    more = () if arrival is None else work.arrived(whole, arrival, scope)
    return created(whole.upload_id, scope.get("root_path", ""), None, None, *more)


async def session_of(work: TusWork, creation: Creation, folder: Name, scope: Scope) -> Session:
    """What is to be written down of a new upload; raises Declined where it may not be."""
    session = Session(
        "",
        None,
        creation.length,
        visit_of(scope).who,
        metadata=creation.written_metadata,
        concatenation=creation.written_concatenation,
    )
    if isinstance(creation.concatenation, Partial):
        return replace(session, kind=Kind.PART)
    target = _target(creation.metadata, folder)
    require_write(scope, target)
    session = replace(session, target=target)
    if isinstance(creation.concatenation, Final):
        session = replace(session, part_ids=creation.concatenation.upload_ids)
    return await _claiming(work, session, creation, scope)


async def _claiming(work: TusWork, session: Session, creation: Creation, scope: Scope) -> Session:
    """The session with what it may replace; raises Declined where the name is taken."""
    current = await work.state_of(session)
    if creation.metadata.get("replace", b"").lower() in _TRUE:
        return replace(session, existing=Existing.REPLACE)
    if field_of(scope, b"if-match") is not None:
        require_state(scope, current)
        return replace(session, existing=Existing.REPLACE, expected=current)
    if current is not None and not isinstance(creation.concatenation, Final):
        raise Declined(tus_problem(409, "There is a file of this name already."))
    return session


def _target(metadata: Mapping[str, bytes], folder: Name) -> Name:
    """What an upload is to become: the file filename, or path, below a folder.

    Both may have slashes in them; the folder is that of the address, or one below it.
    """
    folder_path = metadata.get("folder", b"").strip(b"/")
    file_path = metadata.get("path") or metadata.get("filename") or metadata.get("name") or b""
    if not file_path:
        raise Declined(tus_problem(400, "Upload-Metadata has no filename."))
    segments = [*(folder_path.split(b"/") if folder_path else ()), *file_path.split(b"/")]
    try:
        for segment in segments:
            folder = folder.child(segment)
    except NameRefused as error:
        raise Declined(tus_problem(400, "Nothing can have this filename here.")) from error
    return folder
