"""Conditional requests as clients see them (RFC 9110 section 13)."""

import os
from pathlib import Path

import pytest

from tests.wire.answers import Answer
from tests.wire.raw_http import request
from tests.wire.served import FACTS, Served

# The date of all examples of RFC 9110, section 5.6.7.
MODIFIED = 784_111_777
FIXDATE = "Sun, 06 Nov 1994 08:49:37 GMT"
RFC_850 = "Sunday, 06-Nov-94 08:49:37 GMT"
ASCTIME = "Sun Nov  6 08:49:37 1994"
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
LATER = "Sun, 06 Nov 1994 08:49:38 GMT"
IN_THE_FUTURE = "Fri, 31 Dec 2099 23:59:59 GMT"

# TAG stands for the strong entity tag of the file.
CONDITIONS = [
    # status, id, field lines
    (304, "tag-hit",                 ["If-None-Match: TAG"]),  # 13.1.2
    (304, "weak-tag-hit",            ["If-None-Match: W/TAG"]),  # 13.1.2: weakly
    (200, "tag-miss",                ['If-None-Match: "other"']),
    (304, "tag-in-list",             ['If-None-Match: "a", TAG']),
    (304, "tag-in-second-line",      ['If-None-Match: "a"', "If-None-Match: TAG"]),  # 5.3
    (304, "comma-in-a-tag",          ['If-None-Match: "a,b" , , TAG']),
    (304, "any-tag",                 ["If-None-Match: *"]),
    (304, "whitespace-behind",       ["If-None-Match: TAG \t"]),  # 5.5
    (200, "unreadable-tag",          ["If-None-Match: unquoted"]),
    (200, "empty-list",              ["If-None-Match: "]),
    (200, "match",                   ["If-Match: TAG"]),  # 13.1.1
    (412, "match-is-strong",         ["If-Match: W/TAG"]),  # 13.1.1
    (412, "no-match",                ['If-Match: "other"']),
    (200, "match-in-list",           ['If-Match: "a", "b", TAG']),
    (200, "match-any",               ["If-Match: *"]),
    (304, "same-second",             [f"If-Modified-Since: {FIXDATE}"]),  # 13.1.3
    (304, "rfc-850-date",            [f"If-Modified-Since: {RFC_850}"]),  # 5.6.7
    (304, "asctime-date",            [f"If-Modified-Since: {ASCTIME}"]),  # 5.6.7
    (304, "later",                   [f"If-Modified-Since: {LATER}"]),
    (200, "a-second-before",         [f"If-Modified-Since: {EARLIER}"]),
    (200, "unreadable-date",         ["If-Modified-Since: yesterday"]),  # 13.1.3 MUST
    (200, "not-gmt",                 ["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 +0000"]),
    (200, "unmodified",              [f"If-Unmodified-Since: {FIXDATE}"]),  # 13.1.4
    (412, "modified",                [f"If-Unmodified-Since: {EARLIER}"]),
    (200, "unreadable-is-none",      ["If-Unmodified-Since: yesterday"]),  # 13.1.4 MUST
    # Precedence, 13.2.2: If-Match, else its date, If-None-Match, else its date, Range
    (200, "tag-hides-date",          ['If-None-Match: "other"', f"If-Modified-Since: {FIXDATE}"]),
    (304, "tag-hides-older-date",    ["If-None-Match: TAG", f"If-Modified-Since: {EARLIER}"]),
    (200, "match-hides-date",        ["If-Match: TAG", f"If-Unmodified-Since: {EARLIER}"]),
    (412, "no-match-hides-date",     ['If-Match: "other"', f"If-Unmodified-Since: {FIXDATE}"]),
    (412, "match-comes-first",       ['If-Match: "other"', "If-None-Match: TAG"]),
    (304, "both-match",              ["If-Match: TAG", "If-None-Match: TAG"]),
    (412, "unmodified-comes-first",  [f"If-Unmodified-Since: {EARLIER}", "If-None-Match: TAG"]),
    (304, "not-modified-over-range", ["If-None-Match: TAG", "Range: bytes=0-0"]),
    (412, "failed-over-range",       ['If-Match: "other"', "Range: bytes=0-0"]),
    (412, "failed-over-416",         ['If-Match: "other"', "Range: bytes=200-"]),
    (416, "unsatisfiable-last",      ['If-None-Match: "other"', "Range: bytes=200-"]),
    (206, "match-and-range",         ["If-Match: TAG", "Range: bytes=0-0"]),
]  # fmt: skip

IF_RANGE = [
    # If-Range                            status  id
    ("TAG",                                206,  "tag"),                  # 13.1.5
    ("W/TAG",                              200,  "weak-tag"),             # 13.1.5: strongly
    ('"other"',                            200,  "other-tag"),
    ('"other", TAG',                       200,  "a-list-is-no-tag"),
    ("*",                                  200,  "a-star-is-no-tag"),
    ("",                                   200,  "nothing"),
    ("unquoted",                           200,  "unreadable"),
    (FIXDATE,                              206,  "date"),
    (RFC_850,                              206,  "rfc-850-date"),
    (ASCTIME,                              206,  "asctime-date"),
    (EARLIER,                      200,  "older-date"),           # 13.1.5: exact match
    (LATER,                       200,  "newer-date"),
    (IN_THE_FUTURE,                        200,  "date-in-the-future"),
]  # fmt: skip


@pytest.fixture(scope="module")
def dated(root: Path) -> str:
    """The target of a file whose Last-Modified is FIXDATE."""
    path = root / "dated.bin"
    path.write_bytes(FACTS)
    os.utime(path, (MODIFIED, MODIFIED))
    return "/dated.bin"


def ask(served: Served, target: str, lines: list[str], method: str = "GET") -> Answer:
    tag = served.head(target).field("etag")
    return served.ask(
        request(target, [line.replace("TAG", tag) for line in lines], method=method), method
    )


def test_validators_are_strong_and_dated(served: Served, dated: str) -> None:
    answer = served.get(dated)
    assert answer.field("last-modified") == FIXDATE
    tag = answer.field("etag")
    assert len(tag) > 2
    assert tag[0] == tag[-1] == '"'


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("status", "lines"), [pytest.param(row[0], row[2], id=row[1]) for row in CONDITIONS]
)
def test_preconditions_decide_the_status(
    zero_copy: Served, dated: str, status: int, lines: list[str], method: str
) -> None:
    is_range_ignored = method == "HEAD" and status in (206, 416)  # 14.2
    expected = 200 if is_range_ignored else status
    assert ask(zero_copy, dated, lines, method).status == expected


@pytest.mark.parametrize(
    ("field_value", "status"), [pytest.param(*row[:2], id=row[2]) for row in IF_RANGE]
)
def test_if_range_keeps_or_drops_the_range(
    served: Served, dated: str, field_value: str, status: int
) -> None:
    answer = ask(served, dated, ["Range: bytes=10-19", f"If-Range: {field_value}"])
    assert answer.status == status
    assert answer.content == (FACTS[10:20] if status == 206 else FACTS)


def test_if_range_that_misses_also_drops_an_unsatisfiable_range(
    zero_copy: Served, dated: str
) -> None:
    answer = ask(zero_copy, dated, ["Range: bytes=200-", 'If-Range: "other"'])
    assert (answer.status, answer.content) == (200, FACTS)


def test_if_range_without_range_means_nothing(zero_copy: Served, dated: str) -> None:
    answer = ask(zero_copy, dated, ['If-Range: "other"'])  # 13.1.5 MUST ignore
    assert (answer.status, answer.content) == (200, FACTS)


def test_if_range_by_the_date_of_this_second_is_weak(zero_copy: Served) -> None:
    # 8.8.2.2: a file that changed in this second may change again and keep its date, so a
    # modification time that is not over yet, like one in the future, must not join two files.
    path = zero_copy.new_file(FACTS)
    os.utime(path, (2**32, 2**32))
    date = zero_copy.head(f"/{path.name}").field("last-modified")
    answer = zero_copy.get(f"/{path.name}", "Range: bytes=10-19", f"If-Range: {date}")
    assert (answer.status, answer.content) == (200, FACTS)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_304_has_the_fields_a_cache_needs_and_no_others(
    served: Served, dated: str, method: str
) -> None:
    whole = served.get(dated)
    answer = ask(served, dated, ["If-None-Match: TAG"], method)
    assert (answer.status, answer.content) == (304, b"")
    for name in ("etag", "cache-control"):
        assert answer.field(name) == whole.field(name)  # 15.4.5 MUST
    for name in ("content-type", "content-range", "content-disposition", "content-length"):
        assert not answer.head.has(name)  # 15.4.5 SHOULD NOT


def test_a_304_ends_with_its_head(served: Served, dated: str) -> None:
    tag = served.head(dated).field("etag")
    with served.connect() as client:
        assert client.ask(request(dated, [f"If-None-Match: {tag}"])).status == 304
        assert client.ask(request(dated)).content == FACTS


def test_conditions_of_what_is_not_there_are_ignored(zero_copy: Served) -> None:
    # 13.2.1 MUST: the answer without them would be neither 2xx nor 412.
    for line in ("If-Match: *", 'If-Match: "a"', "If-None-Match: *"):
        assert zero_copy.get("/missing.bin", line).status == 404


def test_last_modified_is_never_in_the_future(served: Served) -> None:
    path = served.new_file(FACTS)
    os.utime(path, (2**32, 2**32))  # in 2106
    answer = served.get(f"/{path.name}")
    assert answer.field("last-modified").split()[3] < "2106"  # 8.8.2.1 MUST NOT
