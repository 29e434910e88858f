"""The content of a request of a resumable upload (IETF): bytes, and at the end the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from starlette.types import Receive, Scope

from fileserve.access.visit import visit_of
from fileserve.http.digest_fields import SHA256, parse_digests
from fileserve.http.resumption import Asked, parse_asked
from fileserve.http.tus import Checksum, tus_fields
from fileserve.problems import problem
from fileserve.site.change_requests import (
    Arrived,
    content_length_of,
    described,
    field_of,
    location_of,
    tag_of,
)
from fileserve.site.receiving import ClientGone, Declined, too_large
from fileserve.site.resumption_answers import (
    COMPLETE,
    Answer,
    inconsistent_length,
    offset_field,
)
from fileserve.site.tus_receiving import Ending, Source, receive_into
from fileserve.site.tus_work import TusWork
from storage.atomic import Existing
from storage.errors import AlreadyExists, Changed, IsFolder, NotAFolder
from storage.upload_growing import Upload
from storage.upload_sessions import Session

_TOO_LONG = "The upload would become longer than was told."


@dataclass(frozen=True, slots=True)
class Request:
    """A request, and what it asks for."""

    scope: Scope
    receive: Receive
    fields: Mapping[str, str]
    asked: Asked

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> Self:
        """The request whose scope and receive these are."""
        fields = tus_fields(scope["headers"])
        return cls(scope, receive, fields, parse_asked(fields))


async def take(work: TusWork, upload: Upload, request: Request) -> Answer | None:
    """Append the content; None unless it is complete with that."""
    length = length_of(work, request, upload.offset, upload.session)
    is_last = request.asked.is_last
    # With the last content it is whole by its length alone, also if nobody lives to say so.
    noted = (length if is_last else None, length)
    if noted != (upload.session.length, upload.session.announced):
        await upload.run(lambda: upload.opened.set_length(*noted))
    await _receive(work, upload, request, length)
    if not is_last:
        return None
    if length is None:
        await upload.run(lambda: upload.opened.set_length(upload.offset, upload.offset))
    elif upload.offset < length:
        raise Declined(inconsistent_length("The content ended before the upload did."))
    return await finish(work, upload, request.scope)


def length_of(work: TusWork, request: Request, offset: int, session: Session | None) -> int | None:
    """The length of the whole, as far as it is known; raises Declined where it cannot be."""
    length = length_told(request, offset, session)
    work.require_length(length)
    stop = offset + (content_length_of(request.scope) or 0)
    if length is not None and stop > length:
        raise Declined(inconsistent_length(_TOO_LONG))
    work.require_length(stop)
    return length


async def _receive(work: TusWork, upload: Upload, request: Request, length: int | None) -> None:
    sha256 = digest_told(request.scope, b"content-digest")
    checksum = None if sha256 is None else Checksum("sha256", sha256)
    limit = work.limit if length is None else length
    room = None if limit is None else limit - upload.offset
    source = Source.of(request.scope, request.receive, room)
    match await receive_into(upload, source, limit, checksum):
        case Ending.COMPLETE:
            return
        case Ending.GONE:
            raise ClientGone
        case Ending.WANTED:
            raise Declined(problem(409, "Another request went on with this upload."))
        case Ending.MISMATCH:
            detail = "The bytes that came have another SHA-256; none of them were kept."
            raise Declined(problem(400, detail))
        case Ending.TOO_LONG:
            # "Upload Append": what is longer than was told is not gone on with.
            await work.uploads.remove(upload)
            if length is None and limit is not None:
                raise Declined(too_large(limit))
            raise Declined(inconsistent_length(_TOO_LONG))


async def finish(work: TusWork, upload: Upload, scope: Scope) -> Answer:
    """Make the file of an upload that is complete, and tell of it as a PUT does."""
    session = upload.session
    if session.target is None:  # a part, of tus
        return Answer(204, (offset_field(upload.offset), COMPLETE))
    await _require_digest(work, upload)
    try:
        arrival = await work.uploads.publish(upload)
    except (AlreadyExists, Changed, IsFolder, NotAFolder) as error:
        detail = "Something else has the name of this upload, or of its folder, by now."
        raise Declined(problem(412, detail, COMPLETE)) from error
    work.records.arrived(visit_of(scope), session.target, arrival)
    arrived = Arrived(session.target, arrival)
    status = 201 if session.existing is Existing.REFUSE else 200
    told = (location_of(scope, session.target), tag_of(arrived))
    fields = (*told, COMPLETE, offset_field(upload.offset))
    return Answer(status, fields, described(scope, arrived))


async def _require_digest(work: TusWork, upload: Upload) -> None:
    """Raises Declined, and forgets the upload, if it has another SHA-256 than was told."""
    sha256 = upload.session.sha256
    if sha256 is None:
        return
    while await upload.run(upload.opened.hash_more):
        pass
    if upload.opened.digest.digests().sha256_hex != sha256:
        await work.uploads.remove(upload)
        raise Declined(problem(400, "The bytes that came have another SHA-256.", COMPLETE))


def length_told(request: Request, offset: int, session: Session | None) -> int | None:
    """The length that the client told, in whatever way; raises Declined for two ("Length")."""
    lengths = {request.asked.length}
    if session is not None:
        lengths |= {session.length, session.announced}
    content_length = content_length_of(request.scope)
    if request.asked.is_last and content_length is not None:
        lengths.add(offset + content_length)
    lengths.discard(None)
    if len(lengths) > 1:
        raise Declined(inconsistent_length("The upload has another length than was told."))
    return lengths.pop() if lengths else None


def digest_told(scope: Scope, name: bytes) -> bytes | None:
    """The SHA-256 in a digest field; None where it tells none."""
    value = field_of(scope, name)
    if value is None:
        return None
    digests = parse_digests(value.decode("latin-1"))
    if digests is None:
        raise Declined(problem(400, f"{name.decode().title()} cannot be read."))
    return digests.get(SHA256)
