"""Which requests are read at all: their lines, framing and size (RFC 9112)."""

import pytest

from tests.wire.raw_http import request
from tests.wire.served import FACTS, Served

GET = b"GET /facts.bin HTTP/1.1\r\n"
HOST = b"Host: files.example\r\n"
MAX_TARGET_BYTES = 16_384
MAX_HEADER_BYTES = 65_536

HOSTS = [
    # field lines                               status  id
    (b"Host: files.example\r\n",                 200,  "name"),
    (b"Host: files.example:8000\r\n",            200,  "name-and-port"),
    (b"Host: 127.0.0.1:8000\r\n",                200,  "address"),
    (b"Host: [::1]:8000\r\n",                    200,  "ipv6-address"),
    (b"Host:\r\n",                               200,  "empty"),                 # 3.2
    (b"host:files.example\r\n",                  200,  "no-space-lower-case"),   # 9110, 5.1
    (b"Host: files.example:\r\n",                200,  "empty-port"),            # RFC 3986, 3.2.3
    (b"",                                        400,  "missing"),               # 3.2 MUST
    (b"Host: a\r\nHost: a\r\n",                  400,  "twice"),                 # 3.2 MUST
    (b"Host: a\r\nX: y\r\nhost: b\r\n",          400,  "twice-and-different"),
    (b"Host: a b\r\n",                           400,  "a-space-inside"),        # 3.2 MUST
    (b"Host: a,b\r\n",                           400,  "a-list"),
    (b"Host: user@a\r\n",                        400,  "userinfo"),
    (b"Host: a/b\r\n",                           400,  "a-path"),
    (b"Host: a:b\r\n",                           400,  "port-of-letters"),
    (b"Host: [::1\r\n",                          400,  "bracket-left-open"),
    (b"Host: a\"b\r\n",                          400,  "a-quote"),
    (b"Host: \xc3\xa9\r\n",                      400,  "not-ascii"),
]  # fmt: skip

MALFORMED = [
    (GET + b"Host : a\r\n\r\n",                  "space-before-colon"),        # 5.1 MUST 400
    (GET + HOST + b"X: a\r\n b\r\n\r\n",         "obs-fold"),                  # 5.2
    (GET + HOST + b"X: a\r\n\tb\r\n\r\n",        "obs-fold-by-tab"),
    (GET + b" Host: a\r\n\r\n",                  "space-before-first-field"),  # 2.2
    (GET + HOST + b"X: a\rb\r\n\r\n",            "bare-cr"),                   # 2.2 MUST
    (GET + HOST + b"X: a\nY: b\r\n\r\n",         "bare-lf-between-fields"),
    (b"GET /facts.bin HTTP/1.1\n" + HOST + b"\n", "bare-lf"),                  # 2.2: MAY accept
    (GET + HOST + b"X: a\x00b\r\n\r\n",          "nul-in-a-value"),            # 9110, 5.5
    (GET + HOST + b": a\r\n\r\n",                "field-without-name"),
    (GET + HOST + b"no colon\r\n\r\n",           "field-without-colon"),
    (GET + HOST + b"X(y): a\r\n\r\n",            "field-name-is-no-token"),    # 9110, 5.1
    (b"GET /facts.bin\r\n\r\n",                  "http-0.9"),
    (b"GET /facts.bin http/1.1\r\n" + HOST + b"\r\n", "version-in-lower-case"),  # 2.3
    (b"GET /facts.bin HTTP/1.10\r\n" + HOST + b"\r\n", "version-of-two-digits"),
    (b"GET /facts.bin HTTP/1,1\r\n" + HOST + b"\r\n", "version-with-comma"),
    (b"GET /facts.bin HTTP/1.1 x\r\n" + HOST + b"\r\n", "something-behind"),
    (b"GET /a file HTTP/1.1\r\n" + HOST + b"\r\n", "space-in-target"),         # 3.2 SHOULD 400
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "tls-hello"),
    (b"\x00\x00\x00\x00\r\n\r\n",                "zeros"),
]  # fmt: skip

# Who stands in front may have read it differently: refuse, close (6.3, 11.2).
AMBIGUOUS = [
    (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  "length-and-chunked"),
    (b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",  "chunked-and-length"),
    (b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",               "two-lengths"),
    (b"Content-Length: 4, 5\r\n\r\nabcde",                                 "list-of-lengths"),
    (b"Content-Length: +4\r\n\r\nabcd",                                    "signed-length"),
    (b"Content-Length: -4\r\n\r\nabcd",                                    "negative-length"),
    (b"Content-Length: 0x4\r\n\r\nabcd",                                   "hexadecimal-length"),
    (b"Content-Length: 4 4\r\n\r\nabcd",                                   "length-of-two-words"),
    (b"Content-Length:\r\n\r\n",                                           "empty-length"),
    (b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",                        "length-beyond-any-int"),
    (b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",             "chunked-is-not-last"),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunked-twice"),
    (b"Transfer-Encoding: gzip\r\n\r\n",                                   "not-chunked"),
    (b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",                      "xchunked"),
    (b"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",                   "quoted-chunked"),
    (b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",                   "vertical-tab"),
    (b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",                      "space-before-colon"),
    (b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",                   "folded"),
]  # fmt: skip

BAD_CHUNKS = [
    (b"4\r\nabcdX\r\n0\r\n\r\n",      "longer-than-its-size"),
    (b"x\r\nabcd\r\n0\r\n\r\n",       "size-of-letters"),
    (b"-4\r\nabcd\r\n0\r\n\r\n",      "negative-size"),
    (b"0x4\r\nabcd\r\n0\r\n\r\n",     "prefixed-size"),
    (b"f" * 20 + b"\r\nabcd\r\n",     "size-beyond-any-int"),
    (b"4\nabcd\r\n0\r\n\r\n",         "bare-lf-behind-size"),
    (b"\r\n4\r\nabcd\r\n0\r\n\r\n",   "empty-line-first"),
]  # fmt: skip

VERSIONS = [
    # version   status
    ("1.1",        200),
    ("1.2",        200),   # 9110, 2.5: as the highest minor version that we know
    ("1.9",        200),
    ("2.0",        505),   # 9110, 15.6.6
    ("0.9",        505),
    ("3.0",        505),
]  # fmt: skip


def test_a_response_ends_where_its_length_says(served: Served) -> None:
    with served.connect() as client:
        for _ in range(3):
            answer = client.ask(request("/facts.bin"))
            assert (answer.status, answer.content, answer.head.closes) == (200, FACTS, False)


@pytest.mark.parametrize(("lines", "status"), [pytest.param(*row[:2], id=row[2]) for row in HOSTS])
def test_one_valid_host(zero_copy: Served, lines: bytes, status: int) -> None:
    with zero_copy.connect() as client:
        answer = client.ask(GET + lines + b"\r\n")
        assert answer.status == status
        if status == 400:
            assert client.read_until_closed() == b""


@pytest.mark.parametrize("raw", [pytest.param(raw, id=row_id) for raw, row_id in MALFORMED])
def test_what_is_malformed_is_400_and_the_end(zero_copy: Served, raw: bytes) -> None:
    with zero_copy.connect() as client:
        answer = client.ask(raw)
        assert (answer.status, answer.head.closes) == (400, True)
        assert client.read_until_closed() == b""


@pytest.mark.parametrize("raw", [pytest.param(raw, id=row_id) for raw, row_id in AMBIGUOUS])
def test_what_is_ambiguous_is_refused_and_the_end(served: Served, raw: bytes) -> None:
    smuggled = request("/large.bin")
    with served.connect() as client:
        answer = client.ask(b"POST /facts.bin HTTP/1.1\r\n" + HOST + raw + smuggled)
        assert answer.status in (400, 501)  # 501: a transfer coding that is not known (6.1)
        assert answer.head.closes
        assert client.read_until_closed() == b""


@pytest.mark.parametrize("raw", [pytest.param(raw, id=row_id) for raw, row_id in BAD_CHUNKS])
def test_after_a_malformed_chunk_nothing_is_a_request(zero_copy: Served, raw: bytes) -> None:
    head = GET + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    with zero_copy.connect() as client:
        client.send(head + raw + request("/large.bin"))
        answer = client.answer()
        assert (answer.status, answer.head.closes) == (400, True)
        assert client.read_until_closed() == b""


@pytest.mark.parametrize(("version", "status"), VERSIONS)
def test_versions(zero_copy: Served, version: str, status: int) -> None:
    assert zero_copy.ask(request("/facts.bin", version=version)).status == status


def test_a_preface_of_http_2_is_refused(zero_copy: Served) -> None:
    with zero_copy.connect() as client:
        answer = client.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert answer.status in (400, 505)
        assert client.read_until_closed() == b""


def test_an_upgrade_is_ignored(served: Served) -> None:
    lines = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"]
    answer = served.get("/facts.bin", *lines)  # 9110, 7.8 MAY ignore
    assert (answer.status, answer.content) == (200, FACTS)


def test_empty_lines_before_a_request_are_ignored(served: Served) -> None:
    with served.connect() as client:
        assert client.ask(b"\r\n" + request("/facts.bin")).content == FACTS  # 2.2 SHOULD
        assert client.ask(b"\r\n\r\n" + request("/facts.bin")).content == FACTS


# Bounds


def target_of(length: int) -> bytes:
    return b"/" + b"n/" * ((length - 1) // 2) + b"n" * ((length - 1) % 2)


def test_a_target_of_the_largest_size_is_read(zero_copy: Served) -> None:
    assert zero_copy.ask(request(target_of(MAX_TARGET_BYTES))).status == 404


@pytest.mark.parametrize("length", [MAX_TARGET_BYTES + 1, 100_000, 1_000_000])
def test_a_longer_target_is_414(served: Served, length: int) -> None:
    with served.connect() as client:
        client.send(request(target_of(length)))
        assert client.answer().status == 414
        assert client.read_until_closed() == b""


FIELD_BLOCKS = [
    (b"X: y\r\n" * 13_107,                    431,  "many-small-fields"),
    (b"X: " + b"y" * 70_000 + b"\r\n",        431,  "one-long-value"),
    (b"X" * 70_000 + b": y\r\n",              431,  "one-long-name"),
    (b"X: " + b"y" * 1_000_000 + b"\r\n",     431,  "a-megabyte"),
    (b"X: y\r\n" * 9_000,                     200,  "many-that-fit"),
    (b"X: " + b"y" * 60_000 + b"\r\n",        200,  "a-long-one-that-fits"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "status"), [pytest.param(*row[:2], id=row[2]) for row in FIELD_BLOCKS]
)
def test_the_field_block_is_bounded(served: Served, lines: bytes, status: int) -> None:
    assert served.ask(GET + HOST + lines + b"\r\n").status == status


def test_a_head_without_end_is_refused_when_it_is_too_long(zero_copy: Served) -> None:
    with zero_copy.connect() as client:
        client.send(GET + HOST + b"X: " + b"y" * (2 * MAX_HEADER_BYTES))
        assert client.answer().status == 431
        assert client.read_until_closed() == b""


def test_the_bound_is_of_one_head_not_of_the_connection(zero_copy: Served) -> None:
    # 40 KB of fields each, and as much content: more than the bound after two of them.
    raw = GET + HOST + b"X: " + b"y" * 40_000 + b"\r\nContent-Length: 40000\r\n\r\n" + b"z" * 40_000
    with zero_copy.connect() as client:
        for _ in range(4):
            client.send(raw)
            client.wait_until_read()
            answer = client.answer()
            if answer.head.closes:
                return
            assert answer.status == 200


def test_content_does_not_count_as_the_next_head(zero_copy: Served) -> None:
    with zero_copy.connect() as client:
        client.send(GET + HOST + b"Content-Length: 100000\r\n\r\n" + b"z" * 100_000 + GET)
        assert client.answer().content == FACTS
        client.wait_until_read()
        client.send(HOST + b"\r\n")
        assert client.answer().content == FACTS


# Fields and content of refusals


def test_whitespace_around_a_value_is_no_part_of_it(zero_copy: Served) -> None:
    for line in (b"Host: a \t", b"Host:\t a", b"Host:a  "):
        assert zero_copy.ask(GET + line + b"\r\n\r\n").status == 200  # 9110, 5.5 MUST


@pytest.mark.parametrize("lines", [b"", b"Host: a b\r\n", HOST + b"X: y\r\n" * 20_000])
def test_a_refused_head_has_no_content(zero_copy: Served, lines: bytes) -> None:
    with zero_copy.connect() as client:
        client.send(b"HEAD /facts.bin HTTP/1.1\r\n" + lines + b"\r\n")
        assert client.answer("HEAD").status in (400, 431)
        assert client.read_until_closed() == b""  # 9110, 9.3.2 MUST NOT
