"""How long a connection lasts, and how many requests it carries in what order (RFC 9112, 9)."""

import pytest

from tests.wire.raw_http import request
from tests.wire.served import FACTS, LARGE, Served

GET = b"GET /facts.bin HTTP/1.1\r\n"
HOST = b"Host: files.example\r\n"

# HTTP/1.0


def test_http_1_0_needs_no_host_and_ends_the_connection(served: Served) -> None:
    with served.connect() as client:
        answer = client.ask(b"GET /facts.bin HTTP/1.0\r\n\r\n")
        assert (answer.status, answer.content, answer.head.closes) == (200, FACTS, True)
        assert client.read_until_closed() == b""


@pytest.mark.parametrize("option", ["keep-alive", "Keep-Alive", "foo, keep-alive"])
def test_http_1_0_may_ask_to_keep_the_connection(served: Served, option: str) -> None:
    raw = request("/facts.bin", [f"Connection: {option}"], version="1.0")
    with served.connect() as client:
        answer = client.ask(raw)
        assert answer.field("connection").lower() == "keep-alive"  # appendix C.2.2
        assert client.ask(raw).content == FACTS


def test_http_1_0_never_gets_chunks(served: Served) -> None:
    answer = served.ask(request("/folder/", version="1.0"))  # 6.1 MUST NOT
    assert answer.status == 200
    assert not answer.head.has("transfer-encoding")
    assert b"inside.txt" in answer.content


def test_http_1_0_with_a_transfer_coding_is_refused(zero_copy: Served) -> None:
    raw = request("/facts.bin", ["Transfer-Encoding: chunked"], version="1.0") + b"0\r\n\r\n"
    with zero_copy.connect() as client:
        assert client.ask(raw).status == 400  # 6.1: "treat the message as if the framing is faulty"
        assert client.read_until_closed() == b""


def test_http_1_0_gets_ranges(served: Served) -> None:
    answer = served.ask(request("/facts.bin", ["Range: bytes=1-2"], version="1.0"))
    assert (answer.status, answer.content) == (206, FACTS[1:3])


# The end of a connection


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("option", ["close", "Close", "keep-alive, close"])
def test_connection_close_is_the_end(served: Served, option: str, version: str) -> None:
    with served.connect() as client:
        raw = request("/facts.bin", [f"Connection: {option}"], version=version)
        answer = client.ask(raw)
        assert (answer.content, answer.head.closes) == (FACTS, True)  # 9.6 MUST
        assert client.read_until_closed() == b""


def test_requests_behind_a_close_are_not_answered(served: Served) -> None:
    with served.connect() as client:
        client.send(request("/facts.bin", ["Connection: close"]) + request("/large.bin"))
        assert client.answer().content == FACTS
        assert client.read_until_closed() == b""


@pytest.mark.parametrize("target", ["/facts.bin", "/large.bin", "/folder/", "/missing"])
def test_a_client_that_half_closes_gets_its_answer(served_plainly: Served, target: str) -> None:
    expected = served_plainly.get(target)
    with served_plainly.connect() as client:
        client.send(request(target))
        client.end_sending()
        answer = client.answer()
        assert (answer.status, answer.content) == (expected.status, expected.content)
        assert client.read_until_closed() == b""


@pytest.mark.parametrize(("target", "count"), [("/large.bin", 3), ("/facts.bin", 300)])
def test_a_client_that_half_closes_gets_all_answers_of_its_pipeline(
    served_plainly: Served, target: str, count: int
) -> None:
    expected = served_plainly.get(target).content
    with served_plainly.connect() as client:
        client.send(request(target) * count)
        client.end_sending()
        for _ in range(count):
            assert client.answer().content == expected
        assert client.read_until_closed() == b""


@pytest.mark.parametrize("raw", [b"", b"GET /facts", GET, GET + HOST])
def test_a_client_that_ends_in_a_head_is_let_go(served_plainly: Served, raw: bytes) -> None:
    with served_plainly.connect() as client:
        client.send(raw)
        client.end_sending()
        rest = client.read_until_closed()
        assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ")  # 8: MAY answer


# Pipelines


def test_a_thousand_requests_are_answered_in_order(served: Served) -> None:
    spans = [(number * 16, number * 16 + 15) for number in range(1000)]
    pipeline = b"".join(
        request("/large.bin", [f"Range: bytes={start}-{stop - 1}"]) for start, stop in spans
    )
    with served.connect() as client, client.sending(pipeline):
        for start, stop in spans:
            assert client.answer().content == LARGE[start:stop]


def test_a_pipeline_of_large_answers_keeps_its_order(served: Served) -> None:
    targets = ["/large.bin", "/facts.bin", "/missing", "/large.bin", "/folder/", "/empty.bin"]
    expected = [served.get(target).content for target in targets]
    pipeline = b"".join(request(target) for target in targets)
    with served.connect() as client:
        client.send(pipeline)
        assert [client.answer().content for _ in targets] == expected


def test_head_and_304_do_not_disturb_a_pipeline(served: Served) -> None:
    with served.connect() as client:
        client.send(request("/facts.bin", method="HEAD"))
        client.send(request("/facts.bin", ["If-None-Match: *"]))
        client.send(request("/facts.bin"))
        assert client.answer("HEAD").content == b""
        assert client.answer().status == 304
        assert client.answer().content == FACTS


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\x03 what\r\n\r\n",
        b"GET /facts.bin HTTP/1.1\r\n\r\n",
        b"{}\r\n\r\n",
        b"GET nothing HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
def test_garbage_is_answered_behind_the_requests_before_it(served: Served, garbage: bytes) -> None:
    with served.connect() as client:
        client.send(request("/large.bin") + request("/facts.bin") + garbage + request("/empty.bin"))
        assert client.answer().content == LARGE
        assert client.answer().content == FACTS
        assert client.answer().status in (400, 501)
        assert client.read_until_closed() == b""


SAME_IN_ANY_PIECES = [
    pytest.param(b"GET /facts.bin HTTP/1.1\r\n" + HOST + b"\r\n", 200, id="plain"),
    pytest.param(b"\r\nGET /facts.bin HTTP/1.1\r\n" + HOST + b"\r\n", 200, id="empty-line-first"),
    pytest.param(b"GET /caf\xe9 HTTP/1.1\r\n" + HOST + b"\r\n", 404, id="raw-bytes"),
    pytest.param(b"GET /facts.bin HTTP/1.2\r\n" + HOST + b"\r\n", 200, id="newer-minor-version"),
    pytest.param(b"GET /facts.bin HTTP/2.0\r\n" + HOST + b"\r\n", 505, id="newer-version"),
    pytest.param(b"get /facts.bin HTTP/1.1\r\n" + HOST + b"\r\n", 501, id="unknown-method"),
    pytest.param(b"GET /facts.bin\r\n", 400, id="http-0.9"),
    pytest.param(
        b"G@T /facts.bin HTTP/1.1\r\n" + HOST + b"\r\n",
        400,
        id="method-is-no-token",
    ),
]


@pytest.mark.parametrize(("raw", "status"), SAME_IN_ANY_PIECES)
def test_a_request_means_the_same_in_any_pieces(zero_copy: Served, raw: bytes, status: int) -> None:
    for piece_bytes in (len(raw), 1, 7):
        with zero_copy.connect() as client:
            client.send_in_pieces(raw, piece_bytes)
            assert client.answer().status == status, piece_bytes


@pytest.mark.parametrize(("raw", "status"), SAME_IN_ANY_PIECES)
def test_a_request_means_the_same_behind_another(
    zero_copy: Served, raw: bytes, status: int
) -> None:
    with zero_copy.connect() as client:
        client.send(GET + HOST + b"\r\n" + raw)
        assert client.answer().content == FACTS
        assert client.answer().status == status
