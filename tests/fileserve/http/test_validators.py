"""RFC 9110 sections 8.8 and 5.6.7 as tables."""

import calendar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.http.validators import (
    EntityTag,
    format_http_date,
    last_modified,
    parse_entity_tag,
    parse_http_date,
    strong_entity_tag,
)

# The example of 5.6.7: 9,075 days from 1970-01-01 to 1994-11-06, and 31,777 seconds.
EXAMPLE = 784_111_777
NOW = 1_795_000_000  # 2026-11-18T11:06:40Z

ENTITY_TAGS = [
    # field value  parsed                        id
    ('"xyzzy"',    EntityTag("xyzzy", False),    "strong"),   # 8.8.3
    ('W/"xyzzy"',  EntityTag("xyzzy", True),     "weak"),     # 8.8.3
    ('""',         EntityTag("", False),         "empty"),    # 8.8.3
    ('"a,b"',      EntityTag("a,b", False),      "comma"),    # etagc %x23-7E
    ('"a\\b"',     EntityTag("a\\b", False),     "backslash-is-no-escape"),
    ('"!#~"',      EntityTag("!#~", False),      "edges-of-etagc"),
    ('"\x80\xff"', EntityTag("\x80\xff", False), "obs-text"),
    (' "a"\t',     EntityTag("a", False),        "whitespace-around"),
    ('w/"a"',      None,                         "small-w"),  # %s"W/"
    ('W/ "a"',     None,                         "space-after-W"),
    ("a",          None,                         "no-quotes"),
    ('"a',         None,                         "not-closed"),
    ('"a"b"',      None,                         "quote-inside"),
    ('"a b"',      None,                         "space-inside"),
    ('"a\x7f"',    None,                         "delete-character"),
    ('"a\r\nb"',   None,                         "newline"),
    ('"\u0100"',   None,                         "beyond-latin-1"),
    ('"a", "b"',   None,                         "two"),
    ("*",          None,                         "star"),
    ("",           None,                         "nothing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field_value", "parsed"),
    [row[:2] for row in ENTITY_TAGS],
    ids=[row[2] for row in ENTITY_TAGS],
)
def test_entity_tag_parses(field_value: str, parsed: EntityTag | None) -> None:
    assert parse_entity_tag(field_value) == parsed


COMPARED = [
    # tag     other    strong weak  the table of 8.8.3.2
    ('W/"1"', 'W/"1"', False, True),
    ('W/"1"', 'W/"2"', False, False),
    ('W/"1"', '"1"',   False, True),
    ('"1"',   'W/"1"', False, True),
    ('"1"',   '"1"',   True,  True),
    ('"a"',   '"A"',   False, False),
]  # fmt: skip


@pytest.mark.parametrize(("tag", "other", "strong", "weak"), COMPARED)
def test_entity_tags_compare(tag: str, other: str, strong: bool, weak: bool) -> None:
    first, second = parse_entity_tag(tag), parse_entity_tag(other)
    assert first is not None
    assert second is not None
    assert (first.match_strongly(second), first.match_weakly(second)) == (strong, weak)


@pytest.mark.parametrize("text", ['"a"', 'W/"a"', '""', '"a,\\"'])
def test_an_entity_tag_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_entity_tag(text)) == text


STATES = st.tuples(
    st.integers(0, 2**63 - 1),  # size
    st.integers(-(2**63), 2**63 - 1),  # modified_ns
    st.integers(-(2**63), 2**63 - 1),  # changed_ns
    st.integers(0, 2**64 - 1),  # inode
)


@given(STATES, STATES)
def test_a_different_state_has_a_different_tag(
    one: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> None:
    assert (strong_entity_tag(*one) == strong_entity_tag(*other)) == (one == other)


@pytest.mark.parametrize("changed", range(4))
def test_each_of_size_times_and_inode_changes_the_tag(changed: int) -> None:
    before = [1000, 5, 6, 7]
    after = [value + (place == changed) for place, value in enumerate(before)]
    assert strong_entity_tag(*before) != strong_entity_tag(*after)


@given(STATES)
def test_the_tag_is_strong_and_can_be_sent(state: tuple[int, int, int, int]) -> None:
    tag = strong_entity_tag(*state)
    assert parse_entity_tag(str(tag)) == tag
    assert not tag.is_weak


@pytest.mark.parametrize(
    ("modified_ns", "now", "seconds"),
    [
        (1_500_000_000, 100.0, 1),  # down to the whole second
        (1_999_999_999, 100.0, 1),
        (100_000_000_000, 100.0, 100),  # this very second
        (101_000_000_000, 100.9, 100),  # 8.8.2.1: never later than the message
        (2**63 - 1, 100.0, 100),
        (-1, 100.0, 0),  # before 1970
    ],
)
def test_last_modified(modified_ns: int, now: float, seconds: int) -> None:
    assert last_modified(modified_ns, now) == seconds


DATES = [
    # field value                          seconds      id
    ("Sun, 06 Nov 1994 08:49:37 GMT",      EXAMPLE,     "imf-fixdate"),        # 5.6.7
    ("Sunday, 06-Nov-94 08:49:37 GMT",     EXAMPLE,     "rfc850"),             # 5.6.7
    ("Sun Nov  6 08:49:37 1994",           EXAMPLE,     "asctime"),            # 5.6.7
    ("Thu, 01 Jan 1970 00:00:00 GMT",      0,           "epoch"),
    ("Wed, 31 Dec 1969 23:59:59 GMT",      -1,          "before-the-epoch"),
    ("Thu Nov 16 08:49:37 1995",           816_511_777, "asctime-two-digit-day"),
    ("Tue, 29 Feb 2000 00:00:00 GMT",      951_782_400, "leap-day"),
    ("Fri, 30 Jun 1972 23:59:60 GMT",      78_796_800,  "leap-second"),        # = 1 July 00:00:00
    (" Sun, 06 Nov 1994 08:49:37 GMT\t",   EXAMPLE,     "whitespace-around"),
    ("Mon, 06 Nov 1994 08:49:37 GMT",      EXAMPLE,     "another-day-of-the-week"),
    # not one of the three formats: None
    ("",                                   None,        "empty"),
    ("784111777",                          None,        "a-number"),
    ("1994-11-06T08:49:37Z",               None,        "iso-8601"),
    ("Sun, 06 Nov 1994 08:49:37 UTC",      None,        "not-GMT"),
    ("Sun, 06 Nov 1994 08:49:37 +0000",    None,        "offset"),
    ("Sun, 06 Nov 1994 08:49:37",          None,        "no-zone"),
    ("sun, 06 Nov 1994 08:49:37 GMT",      None,        "case-of-the-day"),    # 5.6.7
    ("Sun, 06 nov 1994 08:49:37 GMT",      None,        "case-of-the-month"),  # 5.6.7
    ("Sun, 6 Nov 1994 08:49:37 GMT",       None,        "one-digit-day"),
    ("Sun, 06 Nov 94 08:49:37 GMT",        None,        "two-digit-year"),
    ("Sun,  06 Nov 1994 08:49:37 GMT",     None,        "two-spaces"),         # 5.6.7
    ("Sun, 06-Nov-1994 08:49:37 GMT",      None,        "netscape-cookie-date"),
    ("Sun, 06 Nov 1994 8:49:37 GMT",       None,        "one-digit-hour"),
    ("Sun, 06 Nov 1994 08:49 GMT",         None,        "no-seconds"),
    ("Xyz, 06 Nov 1994 08:49:37 GMT",      None,        "no-day-of-the-week"),
    ("Sun, 06 Xyz 1994 08:49:37 GMT",      None,        "no-month"),
    ("Sun, 31 Nov 1994 08:49:37 GMT",      None,        "31-november"),
    ("Sun, 29 Feb 1900 08:49:37 GMT",      None,        "1900-was-no-leap-year"),
    ("Sun, 00 Nov 1994 08:49:37 GMT",      None,        "day-0"),
    ("Sun, 06 Nov 0000 08:49:37 GMT",      None,        "year-0"),
    ("Sun, 06 Nov 1994 24:00:00 GMT",      None,        "hour-24"),
    ("Sun, 06 Nov 1994 08:60:00 GMT",      None,        "minute-60"),
    ("Sun, 06 Nov 1994 08:49:61 GMT",      None,        "second-61"),
    ("Sun, 06 Nov 199\u0664 08:49:37 GMT", None,        "arabic-digit"),
    ("Sun, 06 Nov 1994 08:49:37 GMT, x",   None,        "joined-fields"),
    ("Sunday, 06-Nov-1994 08:49:37 GMT",   None,        "rfc850-four-digit-year"),
    ("Sun, 06-Nov-94 08:49:37 GMT",        None,        "rfc850-short-day"),
    ("Sun Nov 06 08:49:37 1994 GMT",       None,        "asctime-with-zone"),
    ("Sun Nov 6 08:49:37 1994",            None,        "asctime-one-space"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field_value", "seconds"), [row[:2] for row in DATES], ids=[row[2] for row in DATES]
)
def test_http_date_parses(field_value: str, seconds: int | None) -> None:
    assert parse_http_date(field_value, NOW) == seconds


CENTURIES = [
    # rfc850 date, seen at NOW (5.6.7)
    ("Sunday, 06-Nov-26 08:49:37 GMT", 2026),
    ("Sunday, 06-Nov-27 08:49:37 GMT", 2027),
    ("Sunday, 06-Nov-76 08:49:37 GMT", 2076),  # 12 days less than 50 years
    ("Sunday, 18-Nov-76 11:06:40 GMT", 2076),  # 50 years, not more
    ("Sunday, 18-Nov-76 11:06:41 GMT", 1976),  # one second more
    ("Sunday, 01-Jan-77 00:00:00 GMT", 1977),
    ("Sunday, 06-Nov-99 08:49:37 GMT", 1999),
    ("Sunday, 06-Nov-00 08:49:37 GMT", 2000),
]  # fmt: skip


@pytest.mark.parametrize(("field_value", "year"), CENTURIES)
def test_two_digit_years_follow_the_50_year_rule(field_value: str, year: int) -> None:
    seconds = parse_http_date(field_value, NOW)
    assert seconds is not None
    assert format_http_date(seconds)[12:16] == str(year)


def test_two_digit_years_reach_into_the_next_century() -> None:
    in_2095 = float(calendar.timegm((2095, 6, 1, 0, 0, 0)))
    seconds = parse_http_date("Monday, 01-Jan-02 00:00:00 GMT", in_2095)
    assert seconds == calendar.timegm((2102, 1, 1, 0, 0, 0))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (EXAMPLE, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
    ],
)
def test_http_date_is_written_as_imf_fixdate(seconds: int, text: str) -> None:
    assert format_http_date(seconds) == text


@given(st.integers(0, 253_402_300_799))  # to the last second of the year 9999
def test_what_is_written_can_be_read(seconds: int) -> None:
    assert parse_http_date(format_http_date(seconds), NOW) == seconds


@given(st.text() | st.text(alphabet="SunMo, 0123456789:GMT-", max_size=40))
def test_any_text_is_a_date_or_none(text: str) -> None:
    assert isinstance(parse_http_date(text, NOW), int | None)


@pytest.mark.parametrize("garbage", ['"', "W/", " ", "Sun, ", "0", "\x80"])
def test_64_kib_of_garbage_is_neither_tag_nor_date(garbage: str) -> None:
    text = garbage * (65_536 // len(garbage))
    assert parse_entity_tag(text) is None
    assert parse_http_date(text, NOW) is None
