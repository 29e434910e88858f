"""What all requests of resumable uploads share: the uploads, the limits, the end of an upload."""

import time
from dataclasses import dataclass
from typing import TypeVar

from starlette.types import Receive, Scope

from fileserve.access.gate import NOT_ALLOWED
from fileserve.access.visit import Visit, visit_of
from fileserve.http.tus import CHECKSUM_MISMATCH, Checksum, Refused
from fileserve.problems import Field
from fileserve.site.change_requests import (
    Arrived,
    content_length_of,
    digest_of,
    require_size,
    tag_of,
)
from fileserve.site.receiving import ClientGone, Declined
from fileserve.site.tus_answers import refused, tus_problem
from fileserve.site.tus_receiving import Ending, Source, receive_into
from fileserve.site.write_records import WriteRecords
from storage.blob import Fingerprint
from storage.errors import AlreadyExists, Changed, IsFolder, NotAFolder
from storage.incoming import Arrival
from storage.upload_growing import Upload
from storage.upload_sessions import Kind, Session
from storage.uploads import ResumableUploads
from storage.writing import Writing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TusWork:
    """limit: the most bytes of a file; expires_seconds: how long nobody may go on with one."""

    writing: Writing
    uploads: ResumableUploads
    records: WriteRecords
    limit: int | None
    expires_seconds: int

    def require_length(self, length: int | None) -> None:
        """Raise Declined for a file that is too large by its own account."""
        require_size(length, self.limit)

    def expires_at(self) -> float:
        """When an upload is forgotten with which nobody goes on from now."""
        return time.time() + self.expires_seconds

    async def state_of(self, session: Session) -> Fingerprint | None:
        """The state of the file that has the name now; raises where none could ever be put."""
        assert session.target is not None, "a part is no file"
        return await self.writing.state_of(session.target)

    async def receive(
        self, upload: Upload, scope: Scope, receive: Receive, checksum: Checksum | None
    ) -> None:
        """Append the content; raises Declined and ClientGone where it did not come as it should."""
        length = upload.session.length
        limit = self.limit if length is None else length
        source = Source.of(scope, receive, None if limit is None else limit - upload.offset)
        match await receive_into(upload, source, limit, checksum):
            case Ending.COMPLETE:
                return
            case Ending.GONE:
                raise ClientGone
            case Ending.WANTED:
                raise Declined(tus_problem(409, "Another request went on with this upload."))
            case Ending.TOO_LONG:
                raise Declined(tus_problem(413, "The upload would become longer than it may."))
            case Ending.MISMATCH:
                detail = "The bytes that came have another checksum; none of them were kept."
                raise Declined(tus_problem(CHECKSUM_MISMATCH, detail))

    async def publish(self, upload: Upload, scope: Scope) -> tuple[Field, ...]:
        """Make the file of an upload that is whole; the fields that tell of it."""
        try:
            arrival = await self.uploads.publish(upload)
        except (AlreadyExists, Changed, IsFolder, NotAFolder) as error:
            # Not 409: clients of tus take that for a wrong offset, look, and find all bytes there.
            detail = "Something else has the name of this upload, or of its folder, by now."
            raise Declined(tus_problem(412, detail)) from error
        return self.arrived(upload.session, arrival, scope)

    async def terminate(self, upload_id: str, visit: Visit) -> None:
        """Nobody goes on with an upload; of a complete one the file stays."""
        found = await self.uploads.take(upload_id)
        if isinstance(found, Session):
            require_owner(visit, found)
            await self.uploads.forget(found)
            return
        try:
            require_owner(visit, found.session)
            await self.uploads.remove(found)
        finally:
            await self.uploads.release(found)

    def arrived(self, session: Session, arrival: Arrival, scope: Scope) -> tuple[Field, ...]:
        """Tell the catalog of a new file; the fields that tell the client."""
        assert session.target is not None, "a part is no file"
        self.records.arrived(visit_of(scope), session.target, arrival)
        arrived = Arrived(session.target, arrival)
        return (tag_of(arrived), digest_of(arrived))


def is_file(session: Session) -> bool:
    """Whether an upload becomes a file when it is whole; a part does not."""
    return session.kind is Kind.FILE


def require_owner(visit: Visit, session: Session) -> None:
    """Raise Declined unless the visitor may go on with an upload that somebody began.

    It is for whoever began it and may still write there, and for an admin of what it becomes: of
    a part, which leads to no name yet, for the admin of everything.
    """
    is_own = visit.who == session.owner or not session.owner
    if session.target is None:
        may_go_on = is_own or (visit.is_admin and visit.writes == ())
    else:
        may_go_on = (is_own or visit.is_admin) and visit.may_write(session.target)
    if not may_go_on:
        raise Declined(NOT_ALLOWED)


def require_content(scope: Scope, length: int | None, offset: int) -> None:
    """Raise Declined for content that is longer, by its own account, than what is missing."""
    content_length = content_length_of(scope)
    if length is not None and offset + (content_length or 0) > length:
        raise Declined(tus_problem(413, "The upload would become longer than it may."))


def parsed(asked: T | Refused) -> T:
    """What the fields of a request say; raises Declined where they do not say it clearly."""
    if isinstance(asked, Refused):
        raise Declined(refused(asked))
    return asked
