"""Range requests as clients see them: statuses, fields and bytes (RFC 9110 section 14)."""

import re
from dataclasses import dataclass

import pytest

from tests.wire.answers import Answer
from tests.wire.raw_http import request
from tests.wire.served import FACTS, LARGE, Served

# Of the 200 bytes 0, 1, 2 ... 199.
ONE_RANGE = [
    # Range                      start stop  id
    ("bytes=0-0",                   0,   1,  "first-byte"),                   # 14.1.2
    ("bytes=199-199",             199, 200,  "last-byte"),
    ("bytes=0-199",                 0, 200,  "whole"),
    ("bytes=10-19",                10,  20,  "inner"),
    ("bytes=100-",                100, 200,  "open"),
    ("bytes=190-500",             190, 200,  "last-pos-past-the-end"),        # 14.1.2
    ("bytes=-1",                  199, 200,  "suffix-of-one"),
    ("bytes=-200",                  0, 200,  "suffix-of-all"),
    ("bytes=-1000",                 0, 200,  "suffix-longer-than-file"),      # 14.1.2
    ("bytes=0-" + "9" * 5000,       0, 200,  "position-beyond-any-int"),
    ("bytes=-" + "9" * 5000,        0, 200,  "suffix-beyond-any-int"),
    ("BYTES=0-0",                   0,   1,  "unit-in-capitals"),             # 14.1
    ("bytes=,, 0-0 ,",              0,   1,  "empty-elements"),               # 5.6.1.2
    ("bytes=0-4, 300-400",          0,   5,  "one-satisfiable-is-enough"),    # 14.1.2
    ("bytes=0-99, 50-149",          0, 150,  "overlapping-are-one"),          # 15.3.7.2 MAY
    ("bytes=0-9,10-19",             0,  20,  "touching-are-one"),             # 15.3.7.2 MAY
    ("bytes=0-0\t ",                0,   1,  "whitespace-behind-the-value"),  # 5.5
]  # fmt: skip

IGNORED = [
    ("items=0-4",          "unknown-unit"),       # 14.2 MUST
    ("bytes=5-3",          "inverted"),           # 14.1.1 invalid, 14.2 MAY
    ("bytes=0-4, 5-3",     "one-inverted"),
    ("bytes=",             "empty-set"),
    ("bytes=-",            "no-digits"),
    ("bytes=a-b",          "not-digits"),
    ("bytes=+1-2",         "a-sign"),
    ("bytes=0x0-0xf",      "hexadecimal"),
    ("bytes=0 - 4",        "space-inside"),
    ("bytes 0-4",          "no-equals-sign"),
    ("bytes=1-2-3",        "three-positions"),
    ("\xb2",               "not-ascii"),
    ("bytes=\xb2-\xb3",    "superscript-digits"),
]  # fmt: skip

UNSATISFIABLE = [
    ("bytes=200-",            "starts-at-the-end"),     # 14.1.2
    ("bytes=200-300",         "starts-past-the-end"),
    ("bytes=-0",              "last-zero-bytes"),
    ("bytes=999-, -0",        "several"),
    ("bytes=" + "9" * 5000 + "-", "start-beyond-any-int"),
]  # fmt: skip

SEVERAL = [
    # Range                             parts                              id
    ("bytes=0-4, 10-14",                [(0, 5), (10, 15)],                "two"),
    ("bytes=10-14,0-4",                 [(10, 15), (0, 5)],                "in-the-order-asked"),
    ("bytes=0-0,-1",                    [(0, 1), (199, 200)],              "first-and-last-byte"),
    ("bytes=0-4,50-54,2-9,300-",        [(0, 10), (50, 55)],               "some-overlap"),
    ("bytes=0-0,2-2,4-4,6-6",           [(0, 1), (2, 3), (4, 5), (6, 7)],  "four"),
]  # fmt: skip


def rows_by_id(rows: list[tuple[str, str]]) -> list[object]:
    return [pytest.param(value, id=name) for value, name in rows]


@pytest.mark.parametrize(
    ("field_value", "start", "stop"), [pytest.param(*row[:3], id=row[3]) for row in ONE_RANGE]
)
def test_one_range_is_206_with_exactly_its_bytes(
    served: Served, field_value: str, start: int, stop: int
) -> None:
    answer = served.get("/facts.bin", f"Range: {field_value}")
    assert answer.status == 206
    assert answer.content == FACTS[start:stop]
    assert answer.field("content-range") == f"bytes {start}-{stop - 1}/200"
    assert answer.field("content-length") == str(stop - start)


@pytest.mark.parametrize("field_value", rows_by_id(IGNORED))
def test_a_range_that_is_none_is_ignored(served: Served, field_value: str) -> None:
    answer = served.get("/facts.bin", f"Range: {field_value}")
    assert (answer.status, answer.content) == (200, FACTS)
    assert not answer.head.has("content-range")


@pytest.mark.parametrize("field_value", rows_by_id(UNSATISFIABLE))
def test_nothing_satisfiable_is_416_with_the_length(served: Served, field_value: str) -> None:
    answer = served.get("/facts.bin", f"Range: {field_value}")
    assert answer.status == 416
    assert answer.field("content-range") == "bytes */200"  # 15.5.17
    assert answer.field("accept-ranges") == "bytes"
    assert not answer.head.has("etag")  # that would be the tag of the problem's own text


@pytest.mark.parametrize(
    ("field_value", "spans"), [pytest.param(*row[:2], id=row[2]) for row in SEVERAL]
)
def test_several_ranges_are_parts_of_a_multipart(
    served: Served, field_value: str, spans: list[tuple[int, int]]
) -> None:
    answer = served.get("/facts.bin", f"Range: {field_value}")
    assert answer.status == 206
    assert not answer.head.has("content-range")  # 15.3.7.2 MUST NOT
    assert parts_of(answer) == [
        Part("application/octet-stream", f"bytes {start}-{stop - 1}/200", FACTS[start:stop])
        for start, stop in spans
    ]


def test_ranges_of_a_large_file_are_exact(served: Served) -> None:
    spans = [(5_000_000, 9_000_001), (12, 13), (16_000_000, len(LARGE))]
    wanted = ",".join(f"{start}-{stop - 1}" for start, stop in spans)
    parts = parts_of(served.get("/large.bin", f"Range: bytes={wanted}"))
    assert [part.content for part in parts] == [LARGE[start:stop] for start, stop in spans]


def test_a_large_file_comes_whole(served: Served) -> None:
    answer = served.get("/large.bin")
    assert (answer.status, answer.content) == (200, LARGE)
    assert answer.field("accept-ranges") == "bytes"


def test_an_empty_file_is_whole_whatever_the_range(served: Served) -> None:
    for field_value in ("bytes=0-", "bytes=0-0", "bytes=-1", "bytes=-0", "bytes=5-"):
        answer = served.get("/empty.bin", f"Range: {field_value}")
        assert (answer.status, answer.content) == (200, b"")
        assert answer.field("content-length") == "0"


@pytest.mark.parametrize("field_value", ["bytes=0-0", "bytes=0-0,5-5", "bytes=200-", "bytes=-0"])
def test_head_ignores_range(served: Served, field_value: str) -> None:
    answer = served.head("/facts.bin", f"Range: {field_value}")  # 14.2: defined for GET only
    assert answer.status == 200
    assert answer.field("content-length") == "200"
    assert not answer.head.has("content-range")


def test_two_range_fields_are_none(zero_copy: Served) -> None:
    # 14.2: not a list field, so two of them are one value that cannot be read.
    answer = zero_copy.get("/facts.bin", "Range: bytes=0-0", "Range: bytes=5-5")
    assert (answer.status, answer.content) == (200, FACTS)


def test_206_has_the_fields_of_the_200(served: Served) -> None:
    whole, part = served.get("/facts.bin"), served.get("/facts.bin", "Range: bytes=1-1")
    for name in ("etag", "last-modified", "cache-control", "content-type", "content-disposition"):
        assert part.field(name) == whole.field(name)  # 15.3.7


def test_a_thousand_ranges_are_no_more_than_the_file(served: Served) -> None:
    # 14.2: "A server that supports range requests MAY ignore or reject" what is excessive.
    for field_value in ("0-," * 999 + "0-", ",".join(f"{at}-{at + 30}" for at in range(150))):
        answer = served.get("/facts.bin", f"Range: bytes={field_value}")
        assert answer.status in (200, 206)
        assert len(answer.content) <= 200


def test_many_small_ranges_are_all_there(served: Served) -> None:
    spans = [(start, start + 1) for start in range(0, 200, 2)]
    wanted = ",".join(f"{start}-{start}" for start, _ in spans)
    parts = parts_of(served.get("/facts.bin", f"Range: bytes={wanted}"))
    assert [part.content for part in parts] == [FACTS[start:stop] for start, stop in spans]


def test_a_player_reads_many_ranges_on_one_connection(served: Served) -> None:
    with served.connect() as client:
        for start in range(0, len(LARGE), len(LARGE) // 40):
            wanted = f"Range: bytes={start}-{start + 65_535}"
            answer = client.ask(request("/large.bin", [wanted]))
            assert answer.content == LARGE[start : start + 65_536]


@dataclass(frozen=True)
class Part:
    """One part of a multipart/byteranges content."""

    media_type: str
    content_range: str
    content: bytes


def parts_of(answer: Answer) -> list[Part]:
    """The parts of a multipart/byteranges content, read strictly (14.6 and RFC 2046, 5.1.1)."""
    media_type = re.fullmatch(
        r"multipart/byteranges; ?boundary=([0-9A-Za-z'()+_,./:=?-]{1,70})",
        answer.field("content-type"),
    )
    assert media_type, answer.field("content-type")
    delimiter = b"\r\n--" + media_type[1].encode()
    preamble, *raw_parts = (b"\r\n" + answer.content.removeprefix(b"\r\n")).split(delimiter)
    assert preamble == b""
    assert raw_parts.pop() == b"--\r\n"
    return [_part(raw) for raw in raw_parts]


def _part(raw: bytes) -> Part:
    head, content = raw.removeprefix(b"\r\n").split(b"\r\n\r\n", 1)
    fields = dict(line.split(": ", 1) for line in head.decode("ascii").split("\r\n"))
    assert set(fields) == {"Content-Type", "Content-Range"}
    return Part(fields["Content-Type"], fields["Content-Range"], content)
