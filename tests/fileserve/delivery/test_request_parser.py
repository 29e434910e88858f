"""RFC 9112 from the bytes: what is a request, and what is refused with which status."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.delivery.request_heads import RequestHead
from fileserve.delivery.request_parser import RequestParser
from fileserve.http.request_head import Refusal


@dataclass
class Events:
    """A sink that remembers."""

    heads: list[RequestHead] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    refused_methods: list[bytes] = field(default_factory=list)
    malformed_content: list[int] = field(default_factory=list)
    content: bytes = b""
    ends: int = 0
    switches: int = 0

    def request_begins(self, head: RequestHead) -> None:
        self.heads.append(head)

    def request_refused(self, refusal: Refusal, method: bytes) -> None:
        self.refusals.append(refusal.status)
        self.refused_methods.append(method)

    def content_received(self, content: bytes) -> None:
        self.content += content

    def content_malformed(self, refusal: Refusal) -> None:
        self.malformed_content.append(refusal.status)

    def request_ends(self) -> None:
        self.ends += 1

    def protocol_switch_ignored(self) -> None:
        self.switches += 1


def read(*pieces: bytes) -> Events:
    events = Events()
    parser = RequestParser(events, max_header_bytes=1_000, max_target_bytes=300)
    for piece in pieces:
        start = 0
        while start < len(piece) and not events.refusals and not events.malformed_content:
            start = parser.feed(piece, start)
    return events


def bytewise(sent: bytes) -> list[bytes]:
    return [sent[i : i + 1] for i in range(len(sent))]


HOST = b"Host: a\r\n"

REFUSED = [
    # bytes                                                     status  id
    (b"GET / HTTP/1.1\r\n\r\n", 400, "3.2-no-host"),
    (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400, "3.2-two-hosts"),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "3.2-malformed-host"),
    (b"GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", 400, "3.2-malformed-host-in-1.0"),
    (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505, "2.5-major-version"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http2-preface"),
    (b"GET /\r\n", 400, "http-0.9"),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400, "2.2-bare-lf"),
    (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400, "3.2-fragment"),
    (b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", 400, "3.2-relative-target"),
    (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400, "3.2.4-asterisk-is-for-options"),
    (b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n", 501, "3.2.3-connect"),
    (b"FETCH / HTTP/1.1\r\n" + HOST + b"\r\n", 501, "9110-9.1-unknown-method"),
    (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 501, "9110-9.1-methods-are-case-sensitive"),
    (b"\x16\x03\x01\x02\x00\x01", 400, "tls-to-a-plain-port"),
    (b"G@T / HTTP/1.1\r\n" + HOST + b"\r\n", 400, "3.1-method-is-a-token"),
    (b"\x16\x03 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "3.1-method-of-controls"),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "5.1-space-before-colon"),
    (b"GET / HTTP/1.1\r\n" + HOST + b" folded\r\n\r\n", 400, "5.2-obs-fold"),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n", 400, "9110-5.5-nul"),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n", 400, "9110-5.5-bare-cr"),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X y: b\r\n\r\n", 400, "9110-5.1-name-is-a-token"),
    (
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
        "6.3-length-and-coding",
    ),
    (
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        400,
        "6.3-two-lengths",
    ),
    (b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: -5\r\n\r\n", 400, "6.2-negative"),
    (b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: +5\r\n\r\n", 400, "6.2-signed"),
    (
        b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 1" + b"0" * 30 + b"\r\n\r\n",
        400,
        "6.2-huge",
    ),
    (b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "6.3-not-chunked"),
    (
        b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        501,
        "6.1-unknown-coding",
    ),
    (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "6.1-coding-in-1.0"),
    (b"GET /" + b"a" * 300 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, "9110-15.5.15-target"),
    (b"GET /" + b"a" * 3_000, 414, "9110-15.5.15-endless-target"),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 990 + b"\r\n\r\n", 431, "6585-5-one-field"),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 200 + b"\r\n", 431, "6585-5-many-fields"),
    (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 3_000, 431, "6585-5-endless-field"),
]


@pytest.mark.parametrize(("sent", "status"), [r[:2] for r in REFUSED], ids=[r[2] for r in REFUSED])
def test_refused(sent: bytes, status: int) -> None:
    events = read(sent)
    assert (events.heads, events.refusals) == ([], [status])


ACCEPTED = [
    # bytes                                                     raw_path, query, id
    (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", b"/", b"", "plain"),
    (b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n", b"/", b"", "2.2-empty-lines-before"),
    (b"GET /a?b?c HTTP/1.1\r\n" + HOST + b"\r\n", b"/a", b"b?c", "query"),
    (b"GET http://b/x HTTP/1.1\r\n" + HOST + b"\r\n", b"/x", b"", "3.2.2-absolute-form"),
    (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", b"*", b"", "3.2.4-asterisk-form"),
    (b"GET / HTTP/1.0\r\n\r\n", b"/", b"", "1.0-without-host"),
    (b"GET / HTTP/1.9\r\n" + HOST + b"\r\n", b"/", b"", "9110-2.5-minor-version"),
    (b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n", b"/%C3%A4", b"", "raw-utf-8"),
    (b"GET /%C3%A4 HTTP/1.1\r\n" + HOST + b"\r\n", b"/%C3%A4", b"", "encoded-utf-8"),
    (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b"/", b"", "3.2-empty-host"),
]


@pytest.mark.parametrize(
    ("sent", "raw_path", "query"), [a[:3] for a in ACCEPTED], ids=[a[3] for a in ACCEPTED]
)
def test_accepted(sent: bytes, raw_path: bytes, query: bytes) -> None:
    events = read(sent)
    assert events.refusals == []
    assert [(h.target.raw_path, h.target.query) for h in events.heads] == [(raw_path, query)]
    assert events.ends == 1


WHOLE = b"GET /first HTTP/1.1\r\n" + HOST + b"\r\n"
WITH_CONTENT = b"GET /first HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc"
WITH_CHUNKS = (
    b"GET /first HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nRange: bytes=0-0\r\n\r\n"
)
BEFORE = [(b"", "alone"), (WHOLE, "second"), (WITH_CONTENT, "content"), (WITH_CHUNKS, "chunks")]
ALL = [(a[0], a[3]) for a in ACCEPTED] + [(r[0], r[2]) for r in REFUSED]


@pytest.mark.parametrize("before", [b[0] for b in BEFORE], ids=[b[1] for b in BEFORE])
@pytest.mark.parametrize("sent", [a[0] for a in ALL], ids=[a[1] for a in ALL])
def test_it_does_not_matter_where_the_pieces_end(sent: bytes, before: bytes) -> None:
    alone, pieces = read(sent), read(*bytewise(before + sent))
    together = read(before + sent)
    assert together == pieces
    assert together.refusals == alone.refusals
    assert together.heads[1 if before else 0 :] == alone.heads


def test_content_is_that_of_its_own_request() -> None:
    events = read(WITH_CHUNKS + WITH_CONTENT + WHOLE)
    assert events.content == b"abc0123456789" + b"abc"
    assert (len(events.heads), events.ends) == (3, 3)


def test_trailers_are_not_part_of_the_head() -> None:
    # RFC 9110 section 6.5.1: a field like Range in a trailer must not be merged.
    for events in (read(WITH_CHUNKS), read(*bytewise(WITH_CHUNKS))):
        assert [name for name, _ in events.heads[0].fields] == [b"host", b"transfer-encoding"]


def test_trailers_are_bounded() -> None:
    events = read(WITH_CHUNKS[:-2] + b"X: y\r\n" * 400)
    assert events.malformed_content == [431]


def test_a_long_content_is_not_a_long_head() -> None:
    content = b"x" * 100_000
    head = b"GET / HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n"
    events = read(
        head, content[:30_000], content[30_000:] + b"GET / HT", b"TP/1.1\r\n" + HOST, b"\r\n"
    )
    assert (len(events.heads), events.refusals, len(events.content)) == (2, [], 100_000)


def test_whitespace_around_a_value_is_not_part_of_it() -> None:
    # RFC 9110 section 5.5.
    head = read(b"GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n").heads[0]
    assert head.fields == [(b"host", b"a")]


METHODS = [
    (b"HEAD / HTTP/1.1\r\n\r\n", b"HEAD", "no-host"),
    (b"HEAD /a#b HTTP/1.1\r\n" + HOST + b"\r\n", b"HEAD", "target"),
    (b"HEAD / HTTP/1.1\r\nX: " + b"a" * 3_000, b"HEAD", "431"),
    (b"\x16\x03\x01", b"GET", "no-method"),
]


@pytest.mark.parametrize(("sent", "method"), [m[:2] for m in METHODS], ids=[m[2] for m in METHODS])
def test_a_refusal_knows_its_method(sent: bytes, method: bytes) -> None:
    # RFC 9110 section 9.3.2: no content in answer to HEAD, whatever the status.
    assert read(sent).refused_methods == [method]


PERSISTENCE = [
    (b"GET / HTTP/1.1\r\n" + HOST, True, "9.3-default-of-1.1"),
    (b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n", False, "9.6-close"),
    (b"GET / HTTP/1.1\r\n" + HOST + b"Connection: x, CLOSE\r\n", False, "9.6-close-in-a-list"),
    (b"GET / HTTP/1.0\r\n", False, "9.3-default-of-1.0"),
    (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n", True, "C.2.2-keep-alive"),
    (b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n", False, "9.3-close-comes-first"),
]


@pytest.mark.parametrize(
    ("head", "keeps_alive"), [p[:2] for p in PERSISTENCE], ids=[p[2] for p in PERSISTENCE]
)
def test_persistence(head: bytes, keeps_alive: bool) -> None:
    assert [h.keeps_alive for h in read(head + b"\r\n").heads] == [keeps_alive]


def test_100_continue_is_expected_only_by_http_1_1() -> None:
    # RFC 9110 section 10.1.1.
    tail = HOST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    assert read(b"GET / HTTP/1.1\r\n" + tail).heads[0].expects_continue
    assert not read(b"GET / HTTP/1.0\r\n" + tail).heads[0].expects_continue


def test_the_authority_of_the_target_replaces_host() -> None:
    # Section 3.2.2.
    head = read(b"GET http://b:8/x HTTP/1.1\r\n" + HOST + b"\r\n").heads[0]
    assert [value for name, value in head.fields if name == b"host"] == [b"b:8"]


def test_malformed_chunks_are_told_apart_from_a_malformed_head() -> None:
    events = read(
        b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n", b"ZZ\r\n\r\n"
    )
    assert (len(events.heads), events.refusals, events.malformed_content) == (1, [], [400])


def test_an_upgrade_is_ignored_and_told() -> None:
    # RFC 9110 section 7.8.
    events = read(b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
    assert (len(events.heads), events.ends, events.switches) == (1, 1, 1)


LINES = st.sampled_from(
    [
        b"Range: bytes=0-4\r\n",
        b"Range: bytes=5-\r\n",
        b"range: bytes=-9\r\n",
        b"RANGE: bytes=1-1\r\n",
        b"Range:bytes=2-2\r\n",
        b"Range: bytes=3-3 \r\n",
        b"Range: items=0-4\r\n",
        b"Range: bytes=" + b"0-0," * 250 + b"\r\n",
        b" folded\r\n",
        b"Content-Length: 0\r\n",
        b"Accept: */*\r\n",
        b"X: Range: bytes=7-7\r\n",
        b"Connection: close\r\n",
        b"Connection: upgrade\r\nUpgrade: h2c\r\n",
        b"Expect: 100-continue\r\n",
        HOST,
        b"Host: b\r\n",
    ]
)
HEADS = st.builds(
    lambda path, lines: b"GET " + path + b" HTTP/1.1\r\n" + b"".join(lines) + b"\r\n",
    st.sampled_from([b"/a", b"/b", b"http://c/a"]),
    st.lists(LINES, max_size=4).flatmap(lambda lines: st.permutations([HOST, *lines])),
)


def by_name(events: Events) -> Events:
    for head in events.heads:
        head.fields.sort()
    return events


@given(st.lists(HEADS, min_size=2, max_size=4))
def test_a_head_means_the_same_whatever_came_before_it(heads: list[bytes]) -> None:
    events = Events()
    parser = RequestParser(events, max_header_bytes=1_000, max_target_bytes=300)
    for head in heads:
        alone = by_name(read(head))
        before = len(events.heads), len(events.refusals), events.switches
        parser.feed(head, 0)
        by_name(events)
        assert events.heads[before[0] :] == alone.heads
        assert events.refusals[before[1] :] == alone.refusals
        assert events.switches - before[2] == alone.switches
        if events.refusals or events.switches or not events.heads[-1].keeps_alive:
            return


def test_a_head_with_content_is_followed_by_content_every_time() -> None:
    events = read(WITH_CONTENT * 3 + WHOLE * 2)
    assert (events.content, len(events.heads), events.ends) == (b"abc" * 3, 5, 5)


def test_a_client_that_asks_for_one_range_after_another_is_understood() -> None:
    ranges = [b"bytes=0-4", b"bytes=5-", None, b"bytes=-3", b"bytes=0-4"]
    lines = [b"" if value is None else b"Range: " + value + b"\r\n" for value in ranges]
    events = read(b"".join(b"GET /a HTTP/1.1\r\n" + HOST + line + b"\r\n" for line in lines))
    asked = [dict(head.fields).get(b"range") for head in events.heads]
    assert (asked, events.ends) == (ranges, 5)


@given(st.binary(max_size=400))
def test_garbage_raises_nothing_and_is_refused_at_most_once(garbage: bytes) -> None:
    events = read(garbage)
    assert len(events.refusals) + len(events.malformed_content) <= 1


PUT = b"PUT /a HTTP/1.1\r\n" + HOST


def test_content_read_elsewhere_counts_as_fed() -> None:
    events = Events()
    parser = RequestParser(events, max_header_bytes=1_000, max_target_bytes=300)
    parser.feed(PUT + b"Content-Length: 10\r\n\r\nabc", 0)
    assert parser.content_left == 7
    parser.content_was_read(6)
    assert (parser.content_left, events.ends) == (1, 0)
    parser.content_was_read(1)
    assert (parser.content_left, events.ends, events.content) == (0, 1, b"abc")
    parser.feed(b"GET /b HTTP/1.1\r\n" + HOST + b"\r\n", 0)
    assert [head.target.raw_path for head in events.heads] == [b"/a", b"/b"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="before-a-request"),
        pytest.param(PUT, id="in-the-head"),
        pytest.param(PUT + b"\r\n", id="no-content"),
        pytest.param(PUT + b"Content-Length: 1\r\n\r\na", id="at-the-end"),
        pytest.param(PUT + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", id="in-a-chunk"),
    ],
)
def test_nothing_is_to_come_where_no_length_says_so(sent: bytes) -> None:
    parser = RequestParser(Events(), max_header_bytes=1_000, max_target_bytes=300)
    start = 0
    while start < len(sent):
        start = parser.feed(sent, start)
    assert parser.content_left == 0
