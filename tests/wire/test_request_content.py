"""Content of requests: never taken for a request, asked for where it is wanted (9110, 10.1.1)."""

from collections.abc import Iterator

import pytest
from starlette.types import Receive, Scope, Send

from fileserve.delivery.time_limits import Limits
from fileserve.delivery.zerocopy import protocol_class
from tests.wire.asgi_server import AppServer, app_server
from tests.wire.raw_http import request
from tests.wire.served import FACTS, LARGE, Served

GET = b"GET /facts.bin HTTP/1.1\r\n"
HOST = b"Host: files.example\r\n"

CONTENTS = [
    b"Content-Length: 5\r\n\r\nhello",
    b"Content-Length: 0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"Transfer-Encoding: CHUNKED\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: z\r\n\r\n",
]


@pytest.mark.parametrize("lines", CONTENTS)
def test_content_of_a_get_is_no_second_request(served: Served, lines: bytes) -> None:
    with served.connect() as client:
        answer = client.ask(GET + HOST + lines + request("/empty.bin"))
        assert (answer.status, answer.content) == (200, FACTS)
        if answer.head.closes:
            assert client.read_until_closed() == b""
        else:
            assert client.answer().content == b""


def test_content_that_comes_late_is_no_second_request(served: Served) -> None:
    with served.connect() as client:
        client.send(GET + HOST + b"Content-Length: %d\r\n\r\n" % len(request("/large.bin")))
        answer = client.answer()
        assert (answer.status, answer.content) == (200, FACTS)
        client.send(request("/large.bin"))
        if answer.head.closes:
            assert client.read_until_closed() == b""
        else:
            assert client.ask(request("/empty.bin")).content == b""


# Expectations


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the request's content; to /unread without having asked for it."""
    content = b""
    more_content = scope["path"] != "/unread"
    while more_content:
        event = await receive()
        content += event.get("body", b"")
        more_content = event.get("more_body", False)
    fields = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": content})


@pytest.fixture(scope="module")
def echoing() -> Iterator[AppServer]:
    with app_server(echo, protocol_class(Limits())) as server:
        yield server


def test_an_expectation_is_met_before_the_content_is_sent(echoing: AppServer) -> None:
    with echoing.connect() as client:
        client.send(request("/", ["Content-Length: 5", "Expect: 100-Continue"], method="POST"))
        assert client.read_head().status == 100  # 9110, 10.1.1
        client.send(b"hello")
        assert client.answer().content == b"hello"
        client.send(request("/", method="POST", fields=["Content-Length: 0"]))
        assert client.answer().status == 200


def test_http_1_0_never_gets_an_interim_response(echoing: AppServer) -> None:
    lines = ["Content-Length: 5", "Expect: 100-continue"]
    with echoing.connect() as client:
        client.send(request("/", lines, method="POST", version="1.0"))
        client.wait_until_read()
        client.send(b"hello")
        answer = client.answer()  # 9110, 10.1.1 MUST ignore; 15.2 MUST NOT send 1xx
        assert (answer.status, answer.content) == (200, b"hello")


def test_nobody_is_asked_to_continue_for_nothing(echoing: AppServer) -> None:
    with echoing.connect() as client:
        client.send(request("/unread", ["Content-Length: 5", "Expect: 100-continue"]))
        assert (client.answer().status) == 200  # and no 100 before it


def test_a_get_that_expects_gets_its_final_answer_at_once(served: Served) -> None:
    lines = ["Content-Length: 5", "Expect: 100-continue"]
    answer = served.get("/facts.bin", *lines)
    assert (answer.status, answer.content) == (200, FACTS)


def test_content_comes_whole_in_either_framing(echoing: AppServer) -> None:
    content = LARGE[: 1 << 20]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in (content[:70_000], content[70_000:]))
    with echoing.connect() as client:
        head = request("/", [f"Content-Length: {len(content)}"], method="POST")
        with client.sending(head + content):
            assert client.answer().content == content
        head = request("/", ["Transfer-Encoding: chunked"], method="POST")
        with client.sending(head + chunked + b"0\r\n\r\n"):
            assert client.answer().content == content
