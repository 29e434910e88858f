"""What a tus request is answered with: the fields that each answer carries (pure)."""

from dataclasses import dataclass

from fileserve.http.resumption import ACCEPT_PATCH, limit_field
from fileserve.http.tus import (
    CHECKSUM_ALGORITHMS,
    CHECKSUM_MISMATCH,
    CONTENT_TYPE,
    EXTENSIONS,
    VERSION,
    Refused,
    expires_field,
)
from fileserve.problems import Field, Problem, problem
from storage.upload_sessions import Session, State

UPLOADS_PATH = "/-/uploads/"
_COLLECTION_ALLOW: Field = (b"allow", b"OPTIONS, POST")
UPLOAD_ALLOW: Field = (b"allow", b"DELETE, HEAD, OPTIONS, PATCH")
# RFC 5789 sections 2.2 and 3.1: what a PATCH has to bring.
_ACCEPT_PATCH: Field = (b"accept-patch", CONTENT_TYPE.encode())
_ACCEPT_BOTH: Field = (b"accept-patch", b"%b, %b" % (CONTENT_TYPE.encode(), ACCEPT_PATCH[1]))
TUS_RESUMABLE: Field = (b"tus-resumable", VERSION.encode())
_COMMON: tuple[Field, ...] = (
    TUS_RESUMABLE,
    # "HEAD": a cached offset would let bytes be written twice, or left out.
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer without content."""

    status: int
    fields: tuple[Field, ...] = ()

    @property
    def all_fields(self) -> list[Field]:
        """With those that every answer has."""
        length = () if self.status == 204 else ((b"content-length", b"0"),)
        return [*_COMMON, *length, *self.fields]


def capabilities(max_size: int | None, max_age: int, upload_id: str) -> Answer:
    """The answer to OPTIONS, of the other protocol, too (http.resumption).

    upload_id is empty for the place where uploads are created.
    """
    fields = [
        (b"tus-version", VERSION.encode()),
        (b"tus-extension", ",".join(EXTENSIONS).encode()),
        (b"tus-checksum-algorithm", ",".join(CHECKSUM_ALGORITHMS).encode()),
        *((UPLOAD_ALLOW, _ACCEPT_BOTH) if upload_id else (_COLLECTION_ALLOW, ACCEPT_PATCH)),
        limit_field(max_size, max_age),
    ]
    if max_size is not None:
        fields.append((b"tus-max-size", b"%d" % max_size))
    return Answer(204, tuple(fields))


def standing(session: Session, offset: int, expires_at: float) -> Answer:
    """The answer to HEAD: how far an upload is."""
    fields: list[Field] = [(b"upload-offset", b"%d" % offset)]
    if session.length is None:
        fields.append((b"upload-defer-length", b"1"))
    else:
        fields.append((b"upload-length", b"%d" % session.length))
    if session.metadata:
        fields.append((b"upload-metadata", session.metadata.encode("latin-1")))
    if session.concatenation:
        fields.append((b"upload-concat", session.concatenation.encode("ascii")))
    if session.state is State.OPEN:
        fields.append(_expires(expires_at))
    return Answer(200, tuple(fields))


def progressed(offset: int, expires_at: float | None, *more: Field) -> Answer:
    """The answer to PATCH; expires_at: None where the upload is complete."""
    expires = () if expires_at is None else (_expires(expires_at),)
    return Answer(204, ((b"upload-offset", b"%d" % offset), *expires, *more))


def created(
    upload_id: str, root_path: str, offset: int | None, expires_at: float | None, *more: Field
) -> Answer:
    """The answer to POST; offset: None where the request brought no bytes."""
    fields: list[Field] = [(b"location", f"{root_path}{UPLOADS_PATH}{upload_id}".encode())]
    if offset is not None:
        fields.append((b"upload-offset", b"%d" % offset))
    if expires_at is not None:
        fields.append(_expires(expires_at))
    return Answer(201, (*fields, *more))


def refused(refusal: Refused) -> Problem:
    """A refusal of what the fields of a request say."""
    fields = (_ACCEPT_PATCH,) if refusal.status == 415 else ()
    return tus_problem(refusal.status, refusal.detail, *fields)


def tus_problem(status: int, detail: str, *more: Field) -> Problem:
    """A refusal with the fields that every answer has, in the form of all our refusals."""
    if status == CHECKSUM_MISMATCH:
        return Problem(status, "Checksum Mismatch", detail, (TUS_RESUMABLE, *more))
    return problem(status, detail, TUS_RESUMABLE, *more)


def wrong_version() -> Problem:
    """The refusal of another version of the protocol ("Tus-Resumable")."""
    return tus_problem(412, f"Only tus {VERSION} is spoken.", (b"tus-version", VERSION.encode()))


def wrong_method(upload_id: str) -> Problem:
    """The refusal of a method that means nothing here."""
    allow = UPLOAD_ALLOW if upload_id else _COLLECTION_ALLOW
    return tus_problem(405, "Resumable uploads know no such method.", allow)


def _expires(at: float) -> Field:
    return (b"upload-expires", expires_field(at).encode())
