"""A stretch of a series is cut like a slice, and sent in its place, zero-copy or in chunks."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.types import Scope

from fileserve.delivery.body import Body, Slice, Stretch, body_of
from fileserve.delivery.plan import Plan
from fileserve.delivery.transfer import transfer
from fileserve.http.ranges import Span
from tests.fileserve.delivery.letters import Letters
from tests.fileserve.recording_send import RecordingSend, http_scope, no_more_request

FILE = Letters(b"abcdefgh")


class Alternating:
    """Four bytes of digits, then the eight letters of a file."""

    async def pieces(self, start: int, stop: int) -> AsyncGenerator[bytes | Slice, None]:
        if digits := b"0123"[start:stop]:
            yield digits
        if stop > 4:
            yield Slice(FILE, max(start - 4, 0), stop - 4)


WHOLE = body_of([b"<", Stretch(Alternating(), 0, 12), b">"])


def sent(body: Body, scope: Scope) -> RecordingSend:
    recording = RecordingSend()
    asyncio.run(transfer(Plan(200, (), (), body), scope, no_more_request, recording))
    return recording


def zero_copy_scope() -> Scope:
    return {**http_scope("GET", "/"), "extensions": {"http.response.zerocopysend": {}}}


def content(recording: RecordingSend) -> bytes:
    pieces = []
    for message in recording.messages[1:]:
        if message["type"] == "http.response.zerocopysend":
            offset = message["offset"]
            pieces.append(message["file"].content[offset : offset + message["count"]])
        else:
            pieces.append(message.get("body", b""))
    return b"".join(pieces)


def test_a_stretch_counts_as_long_as_it_is() -> None:
    assert WHOLE.length == 14


def test_files_in_a_stretch_are_sent_without_copying() -> None:
    recording = sent(WHOLE, zero_copy_scope())
    assert content(recording) == b"<0123abcdefgh>"
    assert [message["type"] for message in recording.messages[1:]].count(
        "http.response.zerocopysend"
    ) == 1
    assert recording.is_complete


def test_without_the_extension_all_goes_in_chunks() -> None:
    recording = sent(WHOLE, http_scope("GET", "/"))
    assert recording.content == b"<0123abcdefgh>"
    assert recording.is_complete


def test_a_stretch_at_the_end_ends_the_response() -> None:
    body = WHOLE.cut(Span(1, 9))
    for scope in (zero_copy_scope(), http_scope("GET", "/")):
        recording = sent(body, scope)
        assert content(recording) == b"0123abcd"
        assert recording.is_complete
        assert [message.get("more_body", False) for message in recording.messages[1:]].count(
            False
        ) == 1


def test_every_cut_is_the_slice_of_the_whole() -> None:
    for start in range(14):
        for stop in range(start + 1, 15):
            recording = sent(WHOLE.cut(Span(start, stop)), zero_copy_scope())
            assert content(recording) == b"<0123abcdefgh>"[start:stop]
