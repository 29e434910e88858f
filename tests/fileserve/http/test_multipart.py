"""RFC 9110 section 14.6 and RFC 2046 section 5.1.1: what a client finds in the body."""

from email import message_from_bytes
from email.message import Message

import pytest

from fileserve.http.multipart import closing, content_type, part_head
from fileserve.http.ranges import Span

BOUNDARY = "THIS_STRING_SEPARATES"


def test_a_part_begins_as_in_the_rfc() -> None:
    assert part_head(BOUNDARY, Span(500, 1000), 8000, "application/pdf") == (
        b"\r\n--THIS_STRING_SEPARATES\r\n"
        b"Content-Type: application/pdf\r\n"
        b"Content-Range: bytes 500-999/8000\r\n"
        b"\r\n"
    )


def test_the_body_ends_with_the_close_delimiter() -> None:
    assert closing(BOUNDARY) == b"\r\n--THIS_STRING_SEPARATES--\r\n"


def test_the_whole_has_a_type_of_its_own() -> None:
    assert content_type(BOUNDARY) == "multipart/byteranges; boundary=THIS_STRING_SEPARATES"


@pytest.mark.parametrize(
    "spans",
    [
        [Span(0, 1), Span(199, 200)],
        [Span(100, 150), Span(0, 7), Span(20, 30)],
    ],
)
def test_a_mime_parser_finds_the_parts(spans: list[Span]) -> None:
    content = bytes(range(65, 91)) * 8
    body = b"".join(
        part_head(BOUNDARY, span, 200, "text/plain; charset=utf-8")
        + content[span.start : span.stop]
        for span in spans
    )
    head = f"Content-Type: {content_type(BOUNDARY)}\r\n\r\n".encode("ascii")
    message = message_from_bytes(head + body + closing(BOUNDARY))
    parts = [part for part in message.get_payload() if isinstance(part, Message)]
    assert [part.get_payload(decode=True) for part in parts] == [
        content[span.start : span.stop] for span in spans
    ]
    assert [part["Content-Range"] for part in parts] == [
        f"bytes {span.start}-{span.stop - 1}/200" for span in spans
    ]
