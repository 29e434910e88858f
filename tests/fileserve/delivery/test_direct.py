"""The short way of plain requests: nobody can tell it from the long one, and nobody is starved."""

import asyncio
import re
from pathlib import Path

import pytest

from tests.fileserve.delivery.short_way import (
    AtOnce,
    Connected,
    Run,
    ThroughAsgi,
    access_lines,
    get,
    open_files,
    serving,
    until,
)

GET = b"GET /facts.bin HTTP/1.1\r\nHost: a\r\n"
HEAD = b"HEAD /facts.bin HTTP/1.1\r\nHost: a\r\n\r\n"

# The same for the client and for the log, whichever way

AT_ONCE = [
    # request                                                               id
    (get(),                                                                 "plain"),
    (get(method=b"HEAD"),                                                   "head"),
    (get(target=b"/empty.bin"),                                             "empty"),
    (get(target=b"/empty.bin", method=b"HEAD"),                             "empty-head"),
    (get(target=b"/large.bin"),                                             "large"),
    (get(target=b"/a%20b.txt"),                                             "escaped-name"),
    (get(target=b"/facts.bin?"),                                            "empty-query"),
    (get(target=b"/page.html"),                                             "sandboxed"),
    (get(b"Range: bytes=0-0"),                                              "first-byte"),
    (get(b"range: bytes=-5"),                                               "suffix"),
    (get(b"RANGE: bytes=150-"),                                             "open-end"),
    (get(b"Range: bytes=0-4"),                                              "range"),
    (get(b"Range: bytes=0-4", method=b"HEAD"),                              "range-of-head"),
    (get(b"Range: bytes=0-4,10-14,-3"),                                     "several-parts"),
    (get(b"Range: bytes=1-1048576,2000000-5000000", target=b"/large.bin"),  "several-large-parts"),
    (get(b"Range: bytes=200-"),                                             "unsatisfiable"),
    (get(b"Range: bytes=200-", method=b"HEAD"),                             "unsatisfiable-head"),
    (get(b"Range: lines=1-2"),                                              "unknown-unit"),
    (get(b"Range: bytes=1-2", b"Range: bytes=3-4"),                         "two-ranges"),
    (get(b'If-Range: "old"', b"Range: bytes=0-4"),                          "if-range-misses"),
    (get(b"If-None-Match: *"),                                              "not-modified"),
    (get(b"If-None-Match: *", method=b"HEAD"),                              "not-modified-head"),
    (get(b'If-Match: "old"'),                                               "failed"),
    (get(b'If-Match: "old"', method=b"HEAD"),                               "failed-head"),
    (get(b"If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT"),              "date-to-come"),
    (get(b"Connection: close"),                                             "close"),
    (get(b"Connection: close") + get(),                                     "behind-a-close"),
    (get(b"Expect: 100-continue"),                                          "expect"),
    (get(b"Upgrade: websocket", b"Connection: upgrade"),                    "upgrade"),
    (get(b"Upgrade: h2c", b"Connection: upgrade") + get(),                  "behind-an-upgrade"),
    (get(b"Content-Length: 0"),                                             "no-content"),
    (get(b"Origin: https://a.example"),                                     "origin"),
    (b"GET /facts.bin HTTP/1.0\r\n\r\n",                                    "1.0"),
    (b"HEAD /facts.bin HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",         "1.0-keep-alive"),
    (b"GET /facts.bin HTTP/1.9\r\nHost: a\r\n\r\n",                         "1.9"),
    (b"\r\n\r\n" + get(),                                                   "empty-lines-before"),
    (get() * 3,                                                             "pipeline"),
    (get(b"Range: bytes=0-4") + get(b"Range: bytes=5-9") + get(),           "remembered-head"),
    (get() + b"what is this\r\n\r\n",                                       "garbage-behind"),
]  # fmt: skip

BOTH = [
    (get(target=b"/large.bin") + get(method=b"HEAD") + get(),               "large-first"),
    (get() + get(target=b"/nothing") + get(),                               "missing-amid"),
    (get() + get(b"Content-Length: 2") + b"ab" + get(),                     "content-amid"),
    (get(target=b"/large.bin") + get(b"Connection: close") + get(),         "close-behind-large"),
]  # fmt: skip

THROUGH_ASGI = [
    (get(target=b"/nothing"),                                               "missing"),
    (get(target=b"/folder"),                                                "folder-without-slash"),
    (get(target=b"/folder/"),                                               "folder"),
    (get(target=b"/facts.bin/"),                                            "file-with-slash"),
    (get(target=b"/facts.bin?download"),                                    "query"),
    (get(target=b"/-/health"),                                              "own-page"),
    (get(target=b"/%2e%2e/root"),                                           "refused-name"),
    (get(method=b"OPTIONS"),                                                "options"),
    (get(method=b"DELETE"),                                                 "unknown-here"),
    (get(b"Content-Length: 2") + b"ab",                                     "content"),
    (get(b"Transfer-Encoding: chunked") + b"0\r\n\r\n",                     "chunked-content"),
    (b"GET http://a/facts.bin HTTP/1.1\r\nHost: a\r\n\r\n",                 "absolute-form"),
]  # fmt: skip


def same_but_for_time_and_chance(raw: bytes) -> bytes:
    boundary = re.search(rb"boundary=([0-9a-f]{24})", raw)
    if boundary is not None:
        raw = raw.replace(boundary[1], b"boundary")
    return re.sub(rb"\r\ndate: [^\r]{29}\r\n", b"\r\ndate: now\r\n", raw)


def told(root: Path, run: Run, kind: type[ThroughAsgi], raw: bytes) -> tuple[bytes, list[str], int]:
    """What the client gets, what the log says, and how many requests ASGI had."""
    seen: list[tuple[bytes, int]] = []

    async def ask() -> None:
        async with (
            serving(root, kind=kind, cors_origins=["https://a.example"]) as service,
            service.connected() as client,
        ):
            answer = await client.ask(raw)
            await until(lambda: not service.state.tasks)
            seen.append((same_but_for_time_and_chance(answer), service.app.asked))

    with access_lines() as lines:
        run(ask())
    ((answer, asked),) = seen
    return answer, lines, asked


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for raw, name in AT_ONCE])
def test_nobody_can_tell_which_way_a_plain_request_went(root: Path, run: Run, raw: bytes) -> None:
    answer, lines, asked = told(root, run, AtOnce, raw)
    assert asked == 0
    expected_answer, expected_lines, asked = told(root, run, ThroughAsgi, raw)
    assert asked == len(expected_lines) > 0
    assert (answer, lines) == (expected_answer, expected_lines)
    assert open_files(root) == []


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for raw, name in BOTH])
def test_both_ways_go_together_on_one_connection(root: Path, run: Run, raw: bytes) -> None:
    answer, lines, _ = told(root, run, AtOnce, raw)
    assert (answer, lines) == told(root, run, ThroughAsgi, raw)[:2]
    assert open_files(root) == []


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for raw, name in THROUGH_ASGI])
def test_what_is_not_plain_goes_through_asgi(root: Path, run: Run, raw: bytes) -> None:
    answer, lines, asked = told(root, run, AtOnce, raw)
    assert asked == 1
    assert (answer, lines, 1) == told(root, run, ThroughAsgi, raw)


def test_a_request_is_the_same_in_odd_pieces(root: Path, run: Run) -> None:
    pipeline = get(b"Range: bytes=0-4") + get(target=b"/nothing") + get(b"Range: bytes=5-9") * 2

    async def ask_in_pieces(answers: set[bytes]) -> None:
        async with serving(root) as service:
            for piece_bytes in (1, 7, len(pipeline)):
                async with service.connected() as client:
                    for start in range(0, len(pipeline), piece_bytes):
                        client.writer.write(pipeline[start : start + piece_bytes])
                        await asyncio.sleep(0.001)
                    answers.add(same_but_for_time_and_chance(await client.ask(b"")))

    answers: set[bytes] = set()
    run(ask_in_pieces(answers))
    (answer,) = answers
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"206", b"404", b"206", b"206"]


# One client's pipeline and the others


def test_a_client_that_half_closes_gets_all_answers_of_its_pipeline(root: Path, run: Run) -> None:
    async def ask() -> None:
        async with serving(root) as service, service.connected() as client:
            assert (await client.ask(HEAD * 500)).count(b"HTTP/1.1 200 OK\r\n") == 500

    run(ask())


def test_the_server_reads_no_further_than_it_answers(root: Path, run: Run) -> None:
    """A client may send faster than it is answered, for ever; it must not fill our memory."""
    most_ahead = 1 << 20  # buffers of both kernels, one read, and as much again

    async def flood() -> None:
        async with serving(root) as service, service.connected(has_small_buffers=True) as client:
            client.writer.write(HEAD)
            length = len(await client.reader.readuntil(b"\r\n\r\n"))
            taken = [0]
            taking = asyncio.create_task(take_all(client, taken))
            sent = 0
            while taken[0] < 2_000 * length:
                if client.writer.transport.get_write_buffer_size() == 0:
                    client.writer.write(HEAD * 1_000)
                    sent += 1_000 * len(HEAD)
                await asyncio.sleep(0)
                assert sent - taken[0] // length * len(HEAD) < most_ahead
            taking.cancel()

    run(flood())


async def take_all(client: Connected, taken: list[int]) -> None:
    while piece := await client.reader.read(1 << 20):
        taken[0] += len(piece)


def test_a_long_pipeline_lets_others_have_their_turn(root: Path, run: Run) -> None:
    async def ask() -> None:
        async with (
            serving(root) as service,
            service.connected() as greedy,
            service.connected() as modest,
        ):
            greedy.writer.write(HEAD * 2_000)
            modest.writer.write(HEAD)
            await modest.reader.readuntil(b"\r\n\r\n")
            assert service.state.total_requests < 500
            await until(lambda: service.state.total_requests == 2_001)

    run(ask())


def test_a_newcomer_above_the_limit_gets_no_file(root: Path, run: Run) -> None:
    async def ask() -> None:
        async with (
            serving(root, max_connections=1) as service,
            service.connected() as first,
            service.connected() as second,
        ):
            assert (await second.ask(get())).startswith(b"HTTP/1.1 503 ")
            assert (await first.ask(get())).startswith(b"HTTP/1.1 200 ")
            assert service.app.asked == 0

    run(ask())


def test_a_drain_between_two_requests_of_a_pipeline_says_which_answer_is_the_last(
    root: Path, run: Run
) -> None:
    async def drain() -> None:
        async with serving(root) as service, service.connected() as client:
            client.writer.write(HEAD * 50)
            await until(lambda: service.state.total_requests)
            client.protocol.shutdown()
            *answers, end = (await client.rest()).split(b"\r\n\r\n")
            assert end == b""
            assert len(answers) < 50
            assert [b"connection: close" in answer for answer in answers] == [
                *[False] * (len(answers) - 1),
                True,
            ]

    run(drain())
