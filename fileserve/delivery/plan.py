"""From request fields and a representation to a plan: status, fields and body, without I/O."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from fileserve.delivery.body import EMPTY, Body, Segment, body_of
from fileserve.http import multipart
from fileserve.http.preconditions import Verdict, evaluate, parse_conditions, range_applies
from fileserve.http.ranges import Span, content_range, selected_spans, unsatisfied_range
from fileserve.http.validators import Validators, format_http_date

Field = tuple[bytes, bytes]

_CONDITIONAL = {
    b"if-match": "if-match",
    b"if-none-match": "if-none-match",
    b"if-modified-since": "if-modified-since",
    b"if-unmodified-since": "if-unmodified-since",
}
_ASKED = {**_CONDITIONAL, b"range": "range", b"if-range": "if-range"}
_CONDITIONAL_NAMES = frozenset(_CONDITIONAL.values())
_LISTS = frozenset({"if-match", "if-none-match"})
_ACCEPT_RANGES: Field = (b"accept-ranges", b"bytes")


@dataclass(frozen=True, slots=True)
class Description:
    """What is said of a representation, whichever part of it is sent.

    ``metadata`` are fields that describe its bytes and go with 200 and 206
    only; ``control`` fields (Cache-Control, Vary, CORS ...) go with every
    answer, 304 included (section 15.4.5).  ``common`` are all those of 200
    and 206 that are the same for the whole and for each single part.
    """

    validators: Validators
    media_type: str
    control: tuple[Field, ...]
    metadata: tuple[Field, ...]
    common: tuple[Field, ...]


def describe(
    validators: Validators,
    media_type: str,
    metadata: tuple[Field, ...] = (),
    control: tuple[Field, ...] = (),
) -> Description:
    """Return the description that these make, which may be kept while the validators hold."""
    common = _common_fields(validators, media_type, metadata, control)
    return Description(validators, media_type, control, metadata, common)


class Representation(NamedTuple):
    """The selected representation (RFC 9110 section 3.2) of one GET or HEAD."""

    body: Body
    description: Description


class Plan(NamedTuple):
    """What is sent: a status, the response fields with Content-Length, and the body.

    ``common`` fields follow ``own``; they are the same object for every
    answer with that description, so that their encoding can be kept.
    """

    status: int
    own: tuple[Field, ...]
    common: tuple[Field, ...]
    body: Body

    @property
    def fields(self) -> list[Field]:
        """All response fields, in the order in which they are sent."""
        return [*self.own, *self.common]


def request_fields(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the fields of a request that choose what part of a representation is sent.

    Repeated list fields are joined (section 5.3).  A repeated field that is
    not a list is unreadable: its value becomes empty, which no parser takes
    for a range, a date or a tag.
    """
    fields: dict[str, str] = {}
    for key, value in headers:
        name = _ASKED.get(key)
        if name is None:
            continue
        text = value.decode("latin-1")
        if name not in fields:
            fields[name] = text
        elif name in _LISTS:
            fields[name] = f"{fields[name]}, {text}"
        else:
            fields[name] = ""
    return fields


def make_plan(
    method: str,
    fields: dict[str, str],
    representation: Representation,
    *,
    now: float,
    boundary: str,
) -> Plan:
    """Decide a GET or HEAD in the order of RFC 9110 section 13.2.2.

    now is in seconds since 1970.  boundary separates the parts of a
    multipart/byteranges answer; it must not occur in the representation.
    HEAD ignores Range (section 14.2) and gets the fields of the 200.
    """
    current = representation.description.validators
    if not _CONDITIONAL_NAMES.isdisjoint(fields):
        match evaluate(parse_conditions(fields, now), current):
            case Verdict.FAILED:
                return _refused(method, 412, "Precondition Failed", representation, [])
            case Verdict.NOT_MODIFIED:
                return Plan(304, (_etag(current),), representation.description.control, EMPTY)
    asked = fields.get("range")
    if asked is None or method == "HEAD" or not range_applies(fields.get("if-range"), current, now):
        return _whole(method, representation)
    complete_length = representation.body.length
    spans = selected_spans(asked, complete_length)
    if spans is None:
        return _whole(method, representation)
    if not spans:
        unsatisfied = (b"content-range", unsatisfied_range(complete_length).encode())
        return _refused(
            method, 416, "Range Not Satisfiable", representation, [unsatisfied, _ACCEPT_RANGES]
        )
    if len(spans) == 1:
        return _one_part(spans[0], representation)
    return _several_parts(spans, representation, boundary)


def _etag(validators: Validators) -> Field:
    return (b"etag", str(validators.etag).encode("latin-1"))


def _common_fields(
    validators: Validators,
    media_type: str,
    metadata: tuple[Field, ...],
    control: tuple[Field, ...],
) -> tuple[Field, ...]:
    return (
        (b"content-type", media_type.encode("latin-1")),
        _ACCEPT_RANGES,
        _etag(validators),
        (b"last-modified", format_http_date(validators.last_modified).encode()),
        *metadata,
        *control,
    )


def _length(body: Body) -> Field:
    return (b"content-length", b"%d" % body.length)


def _whole(method: str, representation: Representation) -> Plan:
    body = representation.body
    sent = EMPTY if method == "HEAD" else body
    return Plan(200, (_length(body),), representation.description.common, sent)


def _one_part(span: Span, representation: Representation) -> Plan:
    part = representation.body.cut(span)
    position = content_range(span, representation.body.length)
    own = (_length(part), (b"content-range", position.encode()))
    return Plan(206, own, representation.description.common, part)


def _several_parts(spans: list[Span], representation: Representation, boundary: str) -> Plan:
    complete, description = representation
    segments: list[Segment] = []
    for span in spans:
        head = multipart.part_head(boundary, span, complete.length, description.media_type)
        segments.append(head)
        segments.extend(complete.cut(span).segments)
    segments.append(multipart.closing(boundary))
    body = body_of(segments)
    media_type = multipart.content_type(boundary)
    common = _common_fields(
        description.validators, media_type, description.metadata, description.control
    )
    return Plan(206, (_length(body),), common, body)


def _refused(
    method: str, status: int, title: str, representation: Representation, fields: list[Field]
) -> Plan:
    problem = {"type": "about:blank", "title": title, "status": status}
    text = json.dumps(problem).encode()
    own = (
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(text)),
        # A cache that kept it would answer other clients with it (RFC 9111 section 3).
        (b"cache-control", b"no-store"),
        *fields,
    )
    control = representation.description.control
    common = tuple(field for field in control if field[0] != b"cache-control")
    return Plan(status, own, common, EMPTY if method == "HEAD" else body_of([text]))
