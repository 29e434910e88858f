"""What a GET or HEAD gets: status, fields and bytes, decided without I/O."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.delivery.body import Slice, body_of
from fileserve.delivery.plan import Plan, Representation, describe, make_plan, request_fields
from fileserve.http.validators import EntityTag, Validators
from tests.fileserve.delivery.letters import FILE, Letters, content_of

NOW = 1_700_000_000.0
MODIFIED = 1_600_000_000  # Sun, 13 Sep 2020 12:26:40 GMT
DATE = "Sun, 13 Sep 2020 12:26:40 GMT"
BEFORE = "Sun, 13 Sep 2020 12:26:39 GMT"
VALIDATORS = Validators(EntityTag("v1", is_weak=False), MODIFIED)
ABCDEFGHIJ = Representation(
    body_of([Slice(FILE, 0, 10)]),
    describe(
        VALIDATORS,
        "text/plain",
        metadata=((b"content-disposition", b"inline"),),
        control=((b"cache-control", b"no-cache"),),
    ),
)


def plan(method: str, /, **fields: str) -> Plan:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return make_plan(method, named, ABCDEFGHIJ, now=NOW, boundary="B")


def field(plan: Plan, name: bytes) -> bytes | None:
    values = [value for key, value in plan.fields if key == name]
    assert len(values) <= 1, f"{name!r} is there twice"
    return values[0] if values else None


DECIDED = [
    # request fields                               status content        section
    ({}, 200, b"abcdefghij", "no-fields"),
    ({"range": "bytes=2-4"}, 206, b"cde", "14.2-range"),
    ({"range": "bytes=-3"}, 206, b"hij", "14.1.2-suffix"),
    ({"range": "pages=2-4"}, 200, b"abcdefghij", "14.2-unknown-unit"),
    ({"range": ""}, 200, b"abcdefghij", "14.2-unreadable"),
    ({"if_match": '"v1"'}, 200, b"abcdefghij", "13.1.1-hit"),
    ({"if_match": '"v0"'}, 412, None, "13.1.1-miss"),
    ({"if_match": 'W/"v1"'}, 412, None, "13.1.1-strong-comparison"),
    ({"if_none_match": '"v1"'}, 304, b"", "13.1.2-hit"),
    ({"if_none_match": 'W/"v1"'}, 304, b"", "13.1.2-weak-comparison"),
    ({"if_none_match": "*"}, 304, b"", "13.1.2-any"),
    ({"if_none_match": '"v0"', "if_modified_since": DATE}, 200, b"abcdefghij", "13.1.3-tag-hides"),
    ({"if_modified_since": DATE}, 304, b"", "13.1.3-same-date"),
    ({"if_modified_since": BEFORE}, 200, b"abcdefghij", "13.1.3-older-date"),
    ({"if_modified_since": "yesterday"}, 200, b"abcdefghij", "13.1.3-invalid-is-ignored"),
    ({"if_unmodified_since": BEFORE}, 412, None, "13.1.4-changed-since"),
    ({"if_unmodified_since": DATE}, 200, b"abcdefghij", "13.1.4-not-changed"),
    ({"if_match": '"v0"', "if_none_match": '"v1"'}, 412, None, "13.2.2-order"),
    ({"if_none_match": '"v1"', "range": "bytes=0-0"}, 304, b"", "13.2.2-before-range"),
    ({"if_range": '"v1"', "range": "bytes=0-0"}, 206, b"a", "13.1.5-hit"),
    ({"if_range": '"v0"', "range": "bytes=0-0"}, 200, b"abcdefghij", "13.1.5-miss"),
    ({"if_range": 'W/"v1"', "range": "bytes=0-0"}, 200, b"abcdefghij", "13.1.5-weak"),
    ({"if_range": DATE, "range": "bytes=0-0"}, 206, b"a", "13.1.5-date"),
    ({"if_range": BEFORE, "range": "bytes=0-0"}, 200, b"abcdefghij", "13.1.5-exact-date-only"),
    ({"if_range": '"v0"', "range": "bytes=99-"}, 200, b"abcdefghij", "13.1.5-miss-is-not-416"),
    ({"range": "bytes=10-"}, 416, None, "14.2-unsatisfiable"),
    ({"range": "bytes=-0"}, 416, None, "14.1.2-last-zero-bytes"),
]


@pytest.mark.parametrize(
    ("fields", "status", "content"), [d[:3] for d in DECIDED], ids=[d[3] for d in DECIDED]
)
def test_get(fields: dict[str, str], status: int, content: bytes | None) -> None:
    made = plan("GET", **fields)
    assert made.status == status
    if content is not None:
        assert content_of(made.body.segments) == content


@pytest.mark.parametrize(
    ("fields", "status"), [(d[0], d[1]) for d in DECIDED], ids=[d[3] for d in DECIDED]
)
def test_head_has_the_status_and_fields_of_a_get_without_range(
    fields: dict[str, str], status: int
) -> None:
    # RFC 9110 sections 9.3.2 and 14.2: Range is only defined for GET.
    without_range = {name: value for name, value in fields.items() if name != "range"}
    as_get = plan("GET", **without_range)
    made = plan("HEAD", **fields)
    assert (made.status, made.fields) == (as_get.status, as_get.fields)
    assert made.body.segments == ()


def test_206_carries_the_fields_that_the_200_would_have() -> None:
    # Section 15.3.7: Cache-Control, ETag and the representation's own fields.
    whole, part = plan("GET"), plan("GET", range="bytes=2-4")
    assert field(part, b"content-range") == b"bytes 2-4/10"
    assert field(part, b"content-length") == b"3"
    for name in (b"etag", b"last-modified", b"content-type", b"cache-control", b"accept-ranges"):
        assert field(part, name) == field(whole, name) is not None


def test_304_has_validator_and_control_fields_only() -> None:
    # Section 15.4.5.
    made = plan("GET", if_none_match='"v1"')
    assert made.fields == [(b"etag", b'"v1"'), (b"cache-control", b"no-cache")]


def test_416_tells_the_complete_length() -> None:
    # Section 15.5.17.
    made = plan("GET", range="bytes=10-")
    assert field(made, b"content-range") == b"bytes */10"
    assert field(made, b"accept-ranges") == b"bytes"
    assert field(made, b"content-length") == str(made.body.length).encode()


@pytest.mark.parametrize("fields", [{"range": "bytes=10-"}, {"if_match": '"v0"'}])
def test_a_refusal_is_not_for_caches(fields: dict[str, str]) -> None:
    # RFC 9111 section 3: what one client asked for wrongly is no answer for the others.
    assert field(plan("GET", **fields), b"cache-control") == b"no-store"


def test_several_ranges_make_one_multipart_body_of_exact_length() -> None:
    # Section 14.6, worked out by hand.
    made = plan("GET", range="bytes=0-1,5-6")
    expected = (
        b"\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\nab"
        b"\r\n--B\r\nContent-Type: text/plain\r\nContent-Range: bytes 5-6/10\r\n\r\nfg"
        b"\r\n--B--\r\n"
    )
    assert made.status == 206
    assert content_of(made.body.segments) == expected
    assert field(made, b"content-length") == str(len(expected)).encode()
    assert field(made, b"content-type") == b"multipart/byteranges; boundary=B"
    assert field(made, b"content-range") is None


def test_an_empty_file_is_sent_whole_whatever_the_range() -> None:
    empty = Representation(body_of([]), describe(VALIDATORS, "text/plain"))
    made = make_plan("GET", {"range": "bytes=0-0"}, empty, now=NOW, boundary="B")
    assert (made.status, field(made, b"content-length")) == (200, b"0")


def test_repeated_list_fields_are_joined() -> None:
    # Section 5.3.
    fields = request_fields([(b"if-none-match", b'"a"'), (b"if-none-match", b'"v1"')])
    assert fields == {"if-none-match": '"a", "v1"'}


@pytest.mark.parametrize("name", ["range", "if-range", "if-modified-since", "if-unmodified-since"])
def test_a_repeated_field_that_is_not_a_list_is_unreadable(name: str) -> None:
    key = name.encode()
    assert request_fields([(key, b"bytes=0-0"), (key, b"bytes=0-0")]) == {name: ""}


def test_a_repeated_if_range_matches_nothing() -> None:
    fields = request_fields(
        [(b"range", b"bytes=0-0"), (b"if-range", b'"v1"'), (b"if-range", b'"v1"')]
    )
    assert make_plan("GET", fields, ABCDEFGHIJ, now=NOW, boundary="B").status == 200


@given(st.text(max_size=40), st.text(alphabet='"vW/1,* ', max_size=12))
def test_any_fields_give_a_plan_whose_length_is_announced(ranges: str, tag: str) -> None:
    made = plan("GET", range="bytes=" + ranges, if_range=tag)
    assert field(made, b"content-length") == str(made.body.length).encode()


def test_many_overlapping_ranges_are_no_larger_than_the_file_and_framing() -> None:
    big = Letters(bytes(10_000))
    whole = Representation(body_of([Slice(big, 0, 10_000)]), describe(VALIDATORS, "a/b"))
    asked = {"range": "bytes=" + ",".join(f"{i}-" for i in range(900))}
    made = make_plan("GET", asked, whole, now=NOW, boundary="B")
    assert made.body.length == 10_000
