"""Status line, framing and persistence of a response, by RFC 9112."""

import pytest

from fileserve.delivery.response_head import Framing, Persistence, compose_head

LENGTH = [(b"content-length", b"5")]
NONE: list[tuple[bytes, bytes]] = []
KEEP, CLOSE = Persistence.KEEP_ALIVE, Persistence.CLOSE

Framed = tuple[int, str, str, list[tuple[bytes, bytes]], Persistence, Framing, Persistence, str]
FRAMED: list[Framed] = [
    # status method version fields  asked -> framing, persistence                     section
    (200, "GET", "1.1", LENGTH, KEEP, Framing.LENGTH, KEEP, "6.2"),
    (200, "GET", "1.1", NONE, KEEP, Framing.CHUNKED, KEEP, "6.1-unknown-length"),
    (200, "GET", "1.0", NONE, KEEP, Framing.UNTIL_CLOSE, CLOSE, "6.1-no-chunks-to-1.0"),
    (200, "GET", "1.0", LENGTH, KEEP, Framing.LENGTH, KEEP, "C.2.2-keep-alive-in-1.0"),
    (200, "HEAD", "1.1", LENGTH, KEEP, Framing.NO_CONTENT, KEEP, "6.3-head"),
    (204, "OPTIONS", "1.1", NONE, KEEP, Framing.NO_CONTENT, KEEP, "6.3-204"),
    (304, "GET", "1.1", NONE, KEEP, Framing.NO_CONTENT, KEEP, "6.3-304"),
    (200, "GET", "1.1", [*LENGTH, (b"connection", b"close")], KEEP, Framing.LENGTH, CLOSE, "9.6"),
]


@pytest.mark.parametrize("row", FRAMED, ids=[f[7] for f in FRAMED])
def test_framing_and_persistence(row: Framed) -> None:
    status, method, version, fields, asked, framing, persistence, _ = row
    head = compose_head(
        status, fields, method=method, version=version, default_fields=b"", persistence=asked
    )
    assert (head.framing, head.persistence) == (framing, persistence)
    assert (b"transfer-encoding: chunked\r\n" in head.encoded) is (framing is Framing.CHUNKED)
    assert (b"connection: close\r\n" in head.encoded) is (persistence is CLOSE)
    says_keep_alive = version == "1.0" and persistence is KEEP
    assert (b"connection: keep-alive\r\n" in head.encoded) is says_keep_alive


def encoded(status: int, *fields: tuple[bytes, bytes]) -> bytes:
    return compose_head(
        status,
        fields,
        method="GET",
        version="1.1",
        default_fields=b"server: x\r\n",
        persistence=KEEP,
    ).encoded


def test_a_whole_head() -> None:
    head = encoded(206, (b"Content-Length", b"1"), (b"etag", b'"\xe4"'))
    assert head == (
        b'HTTP/1.1 206 Partial Content\r\nserver: x\r\ncontent-length: 1\r\netag: "\xe4"\r\n\r\n'
    )


PHRASES = [
    (413, b"HTTP/1.1 413 Content Too Large\r\n"),  # RFC 9110 section 15.5.14
    (414, b"HTTP/1.1 414 URI Too Long\r\n"),  # 15.5.15
    (416, b"HTTP/1.1 416 Range Not Satisfiable\r\n"),  # 15.5.17
    (599, b"HTTP/1.1 599 \r\n"),  # RFC 9112 section 4: the phrase may be absent, the space not
]


@pytest.mark.parametrize(("status", "line"), PHRASES)
def test_status_line(status: int, line: bytes) -> None:
    assert encoded(status, (b"content-length", b"0")).startswith(line)


SMUGGLED = [
    (b"x", b"a\r\nset-cookie: b"),
    (b"x", b"a\nb"),
    (b"x", b"a\rb"),
    (b"x", b"a\x00b"),
    (b"x\r\ny", b"a"),
    (b"x y", b"a"),
    (b"", b"a"),
]


@pytest.mark.parametrize(("name", "value"), SMUGGLED)
def test_a_field_that_does_not_fit_on_a_line_is_not_sent(name: bytes, value: bytes) -> None:
    # RFC 9110 section 5.5: a response must not be split.
    with pytest.raises(RuntimeError):
        encoded(200, (name, value))
