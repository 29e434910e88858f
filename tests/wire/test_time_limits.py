"""How long a client may take: for its head, between requests, and for taking what it asked for."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.wire.promptness import again_if_held_up
from tests.wire.raw_http import PATIENCE_SECONDS, ConnectionEnded, End, RawClient, request
from tests.wire.served import FACTS, LARGE, SLOW_READER_BUFFER_BYTES, Delivery, Served, Servers

LIMITS = {
    "header_timeout_seconds": "0.5",
    "idle_timeout_seconds": "1",
    "keep_alive_seconds": "0.5",
}


@pytest.fixture(scope="module")
def hurried_servers(servers: Servers) -> Iterator[dict[Delivery, Served]]:
    """Servers of the shared folder whose limits are short."""
    with ExitStack() as running:
        hurried = {
            delivery: running.enter_context(servers.started(delivery, servers.root, **LIMITS))
            for delivery in Delivery
        }
        yield hurried
        for served in hurried.values():
            assert served.error_lines() == []


@pytest.fixture(params=list(Delivery), ids=lambda delivery: delivery.name.lower())
def hurried(request: pytest.FixtureRequest, hurried_servers: dict[Delivery, Served]) -> Served:
    return hurried_servers[request.param]


@pytest.fixture(params=[Delivery.UVLOOP, Delivery.TLS], ids=["plain", "tls"])
def hurried_head(request: pytest.FixtureRequest, hurried_servers: dict[Delivery, Served]) -> Served:
    """For limits that end before a delivery is chosen."""
    return hurried_servers[request.param]


def trickle(client: RawClient, raw: Iterator[bytes], ended: threading.Event) -> None:
    """Send a piece now and then, as a client does that wants to hold the connection."""
    for piece in raw:
        if ended.wait(0.1):
            return
        try:
            client.send(piece)
        except OSError:
            return


@pytest.mark.parametrize(
    "beginning", [b"G", b"GET /facts.bin HT", b"GET /facts.bin HTTP/1.1\r\nHost: a\r\nX: y"]
)
@again_if_held_up
def test_a_head_that_does_not_end_is_408(hurried_head: Served, beginning: bytes) -> None:
    with hurried_head.connect() as client:
        answer = client.ask(beginning)
        assert (answer.status, answer.head.closes) == (408, True)  # 9110, 15.5.9
        assert client.read_until_closed() == b""


@again_if_held_up
def test_bytes_that_trickle_in_do_not_prolong_a_head(hurried_head: Served) -> None:
    ended = threading.Event()
    with hurried_head.connect() as client:
        client.send(b"GET /facts.bin HTTP/1.1\r\nHost: a\r\n")
        drip = itertools.repeat(b"X: y\r\n", int(PATIENCE_SECONDS * 10))
        thread = threading.Thread(target=trickle, args=(client, drip, ended))
        thread.start()
        rest, end = client.read_to_the_end()
        ended.set()
        thread.join()
    # What trickles in after the answer may reset the connection before it is read.
    assert rest.startswith(b"HTTP/1.1 408 ") or end is End.CUT


def test_a_connection_without_a_request_is_closed(hurried_head: Served) -> None:
    with hurried_head.connect() as client:
        assert client.read_until_closed() == b""


@again_if_held_up
def test_an_idle_connection_is_closed_without_a_word(hurried_head: Served) -> None:
    with hurried_head.connect() as client:
        assert client.ask(request("/facts.bin")).content == FACTS
        # A 408 could be taken for the answer to a request that is just on its way.
        assert client.read_until_closed() == b""


@again_if_held_up
def test_a_head_behind_a_request_has_its_own_limit(hurried_head: Served) -> None:
    with hurried_head.connect() as client:
        client.send(request("/facts.bin") + b"GET /facts")
        assert client.answer().content == FACTS
        assert client.answer().status == 408
        assert client.read_until_closed() == b""


@again_if_held_up
def test_content_that_never_comes_does_not_hold_the_connection(hurried_head: Served) -> None:
    with hurried_head.connect() as client:
        client.send(request("/facts.bin", ["Content-Length: 1000"]))
        assert client.answer().content == FACTS
        assert client.read_until_closed() == b""


@again_if_held_up
def test_a_reader_that_takes_nothing_is_cut(hurried: Served) -> None:
    path = hurried.new_name_of_large()
    with hurried.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) as client:
        client.send(request(f"/{path.name}"))
        line = hurried.access_line(path)
        assert (line.status, line.end_cause) == ("200", "stalled")
        assert 0 < line.bytes_sent < len(LARGE)
        content = what_comes_of(client)
        assert LARGE.startswith(content)
        assert len(content) < len(LARGE)


@pytest.mark.parametrize("field", ["Accept: */*", "Content-Length: 100000"])
@again_if_held_up
def test_a_reader_that_takes_nothing_is_cut_whatever_it_sends(hurried: Served, field: str) -> None:
    path = hurried.new_name_of_large()
    ended = threading.Event()
    with hurried.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) as client:
        client.send(request(f"/{path.name}", [field]))
        # The next request or content, byte by byte: no sign that this answer is taken.
        drip = itertools.repeat(b"G")
        thread = threading.Thread(target=trickle, args=(client, drip, ended))
        thread.start()
        try:
            assert hurried.access_line(path).end_cause == "stalled"
        finally:
            ended.set()
            thread.join()


@again_if_held_up
def test_a_slow_reader_that_moves_is_not_cut(hurried: Served) -> None:
    path = hurried.new_name_of_large()
    length = 8_000_000  # more than the buffers of both sides
    with hurried.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) as client:
        client.send(request(f"/{path.name}", [f"Range: bytes=0-{length - 1}"]))
        client.read_head()
        received = 0
        # Twice the limit, at a pace that leaves the server's buffer full all the time.
        for _ in range(20):
            received += len(client.read_exactly(8 << 10))
            time.sleep(0.1)  # the slowness that is tested
        assert client.read_exactly(length - received) == LARGE[received:length]
    assert hurried.access_line(path).end_cause == "complete"


@pytest.mark.parametrize("farewell", ["reset", "close"])
def test_a_client_that_vanishes_is_gone(served: Served, farewell: str) -> None:
    path = served.new_name_of_large()
    with served.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) as client:
        client.send(request(f"/{path.name}"))
        assert client.read_head().status == 200
        client.read_exactly(10_000)
        if farewell == "reset":
            client.vanish()
    line = served.access_line(path)
    assert (line.status, line.end_cause) == ("200", "client-gone")
    assert 10_000 <= line.bytes_sent < len(LARGE)
    assert served.error_lines() == []


def test_a_client_that_vanishes_in_its_pipeline_is_gone(served: Served) -> None:
    path = served.new_name_of_large()
    with served.connect(receive_buffer_bytes=SLOW_READER_BUFFER_BYTES) as client:
        client.send(request(f"/{path.name}") * 20)
        client.read_head()
        client.vanish()
    assert served.access_line(path).end_cause == "client-gone"


def what_comes_of(client: RawClient) -> bytes:
    """The content that a cut response still delivers."""
    try:
        client.read_head()
    except ConnectionEnded:
        return b""
    content, end = client.read_to_the_end()
    assert end is End.CUT
    return content
