"""What all requests that change something have in common: the question, and the answer."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from starlette.types import Scope, Send

from fileserve.access.gate import NOT_ALLOWED
from fileserve.access.visit import visit_of
from fileserve.delivery.plan import request_fields
from fileserve.http.digest_fields import digest_field
from fileserve.http.preconditions import ChangeVerdict, evaluate_change, parse_conditions
from fileserve.http.validators import EntityTag, Validators, last_modified, strong_entity_tag
from fileserve.problems import Field, problem
from fileserve.site.listing_records import readable
from fileserve.site.receiving import Declined, too_large
from storage.blob import Fingerprint
from storage.incoming import Arrival
from storage.names import Name

UNGUARDED = problem(
    428, "There is a file already. If-Match with its ETag replaces it; new names need nothing."
)
FAILED = problem(412, "The file is not in the state that was named.")


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that came with a request."""

    name: Name
    arrival: Arrival


def field_of(scope: Scope, name: bytes) -> bytes | None:
    """The value of a field, several joined with commas; None if it is not there."""
    values = [value for key, value in scope["headers"] if key == name]
    return b", ".join(values) if values else None


def require_write(scope: Scope, name: Name) -> None:
    """Raises Declined unless this visitor may write name."""
    if not visit_of(scope).may_write(name):
        raise Declined(NOT_ALLOWED)


def content_length_of(scope: Scope) -> int | None:
    """The length of the content as it was announced; None for chunked content.

    Raises Declined where HTTP/1.0 does not tell it, so that nobody could know the end (RFC 1945).
    """
    value = field_of(scope, b"content-length")
    if value is None:
        if scope["http_version"] == "1.0":
            raise Declined(problem(411, "Content needs a Content-Length."))
        is_chunked = field_of(scope, b"transfer-encoding") is not None
        return None if is_chunked or scope["http_version"] != "1.1" else 0
    if not value.isdigit():
        raise Declined(problem(400, "Content-Length is not a number."))
    return int(value)


def require_plain_content(scope: Scope) -> None:
    """Raises Declined for content that is not simply the bytes of the file (RFC 9110, 14.5)."""
    if field_of(scope, b"content-range") is not None:
        raise Declined(problem(400, "A part of a file cannot be put; use a resumable upload."))
    encoding = (field_of(scope, b"content-encoding") or b"identity").strip().lower()
    if encoding not in (b"identity", b""):
        detail = "Content is taken as it is, without a Content-Encoding."
        # RFC 9110 section 12.5.3: the answer tells what would have been taken.
        raise Declined(problem(415, detail, (b"accept-encoding", b"identity")))


def require_size(length: int | None, limit: int | None) -> None:
    """Raises Declined for what is too large by its own account."""
    if limit is not None and length is not None and length > limit:
        raise Declined(too_large(limit))


def judge(scope: Scope, current: Fingerprint | None) -> ChangeVerdict:
    """What the conditions of a request say about a file in its state now (None: no file)."""
    now = time.time()
    conditions = parse_conditions(request_fields(scope["headers"]), now)
    return evaluate_change(conditions, None if current is None else validators_of(current, now))


def require_state(scope: Scope, current: Fingerprint | None) -> None:
    """Raises Declined unless the conditions allow to replace what is there."""
    match judge(scope, current):
        case ChangeVerdict.FAILED:
            raise Declined(FAILED)
        case ChangeVerdict.UNGUARDED:
            raise Declined(UNGUARDED)
        case ChangeVerdict.PROCEED:
            return


def validators_of(state: Fingerprint, now: float) -> Validators:
    """The validators of a file in a state, as a GET would tell them."""
    return Validators(entity_tag_of(state), last_modified(state.modified_ns, now))


def entity_tag_of(state: Fingerprint) -> EntityTag:
    """The entity tag of a file in a state."""
    return strong_entity_tag(state.size, state.modified_ns, state.changed_ns, state.inode)


def location_of(scope: Scope, name: Name) -> Field:
    """Where what was made can be found."""
    return (b"location", (scope.get("root_path", "") + name.url_path).encode("latin-1"))


def described(scope: Scope, arrived: Arrived) -> dict[str, str | int]:
    """A file that has arrived, for programs."""
    digests = arrived.arrival.digests
    path = "/" + "/".join(readable(segment) for segment in arrived.name.segments)
    return {
        "path": path,
        "url": location_of(scope, arrived.name)[1].decode("latin-1"),
        "size": digests.length,
        "sha256": digests.sha256_hex,
    }


def tag_of(arrived: Arrived) -> Field:
    """The entity tag of a file that has arrived."""
    return (b"etag", str(entity_tag_of(arrived.arrival.state)).encode("latin-1"))


def digest_of(arrived: Arrived) -> Field:
    """The SHA-256 of a file that has arrived, for answers without content.

    RFC 9530 section 3.1: beside content that tells how a request went it would be of that content.
    """
    return (b"repr-digest", digest_field(arrived.arrival.digests.sha256).encode("ascii"))


async def send_json(send: Send, status: int, members: object, fields: Iterable[Field] = ()) -> None:
    """Answer a program."""
    content = json.dumps(members).encode("ascii") + b"\n"
    head: Sequence[Field] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *fields,
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def send_nothing(send: Send, status: int, fields: Iterable[Field] = ()) -> None:
    """Answer by the status alone."""
    # RFC 9110 section 8.6: a length that is known is told, but never with 204.
    length = () if status == 204 else ((b"content-length", b"0"),)
    head = [*fields, *length, (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
