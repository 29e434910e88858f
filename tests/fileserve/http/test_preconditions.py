"""RFC 9110 section 13 as tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.http.preconditions import (
    ANY,
    NOTHING,
    Conditions,
    EntityTagList,
    EntityTagSet,
    Verdict,
    evaluate,
    evaluate_undated,
    parse_conditions,
    range_applies,
)
from fileserve.http.validators import EntityTag, Validators

PROCEED, NOT_MODIFIED, FAILED = Verdict.PROCEED, Verdict.NOT_MODIFIED, Verdict.FAILED

BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
AT = "Sun, 06 Nov 1994 08:49:37 GMT"  # 784111777
AFTER = "Sun, 06 Nov 1994 08:49:38 GMT"
AT_RFC850 = "Sunday, 06-Nov-94 08:49:37 GMT"
AT_ASCTIME = "Sun Nov  6 08:49:37 1994"

NOW = 1_795_000_000.0
CURRENT = Validators(EntityTag("now", is_weak=False), 784_111_777)
WEAK_CURRENT = Validators(EntityTag("now", is_weak=True), 784_111_777)

A, B = EntityTag("a", is_weak=False), EntityTag("b", is_weak=False)

VERDICTS = [
    # fields                                                   verdict       id
    ({},                                                       PROCEED,      "unconditional"),
    # 13.1.1 If-Match, strong comparison
    ({"if-match": '"now"'},                                    PROCEED,      "match"),
    ({"if-match": '"old"'},                                    FAILED,       "match-misses"),
    ({"if-match": '"old", "now"'},                             PROCEED,      "match-in-list"),
    ({"if-match": ',, "old" ,"now",'},                         PROCEED,      "match-with-gaps"),
    ({"if-match": "*"},                                        PROCEED,      "match-any"),
    ({"if-match": 'W/"now"'},                                  FAILED,       "match-is-strong"),
    ({"if-match": ""},                                         FAILED,       "match-empty-list"),
    ({"if-match": "now"},                                      FAILED,       "match-unquoted"),
    ({"if-match": '"now'},                                     FAILED,       "match-not-closed"),
    ({"if-match": '"now", junk'},                              FAILED,       "match-junk-member"),
    ({"if-match": '*, "now"'},                                 FAILED,       "match-listed-star"),
    ({"if-match": '"*"'},                                      FAILED,       "match-quoted-star"),
    # 13.1.4 If-Unmodified-Since
    ({"if-unmodified-since": BEFORE},                          FAILED,       "modified-since"),
    ({"if-unmodified-since": AT},                              PROCEED,      "unmodified-since"),
    ({"if-unmodified-since": AFTER},                           PROCEED,      "unmodified-later"),
    ({"if-unmodified-since": "yesterday"},                     PROCEED,      "unmodified-junk"),
    ({"if-unmodified-since": f"{BEFORE}, {BEFORE}"},           PROCEED,      "unmodified-twice"),
    ({"if-match": '"now"', "if-unmodified-since": BEFORE},     PROCEED,      "match-hides-date"),
    ({"if-match": '"old"', "if-unmodified-since": AFTER},      FAILED,       "miss-hides-date"),
    # 13.1.2 If-None-Match, weak comparison
    ({"if-none-match": '"now"'},                               NOT_MODIFIED, "none-match"),
    ({"if-none-match": 'W/"now"'},                             NOT_MODIFIED, "none-match-is-weak"),
    ({"if-none-match": '"old"'},                               PROCEED,      "none-match-misses"),
    ({"if-none-match": '"old", W/"now"'},                      NOT_MODIFIED, "none-match-in-list"),
    ({"if-none-match": "*"},                                   NOT_MODIFIED, "none-match-any"),
    ({"if-none-match": " * "},                                 NOT_MODIFIED, "none-match-spaces"),
    ({"if-none-match": ""},                                    PROCEED,      "none-match-empty"),
    ({"if-none-match": "now"},                                 PROCEED,      "none-match-unquoted"),
    ({"if-none-match": '"now", junk'},                         PROCEED,      "none-match-junk"),
    ({"if-none-match": '"now" "old"'},                         PROCEED,      "none-match-no-comma"),
    # 13.1.3 If-Modified-Since
    ({"if-modified-since": BEFORE},                            PROCEED,      "since-before"),
    ({"if-modified-since": AT},                                NOT_MODIFIED, "since-then"),
    ({"if-modified-since": AFTER},                             NOT_MODIFIED, "since-later"),
    ({"if-modified-since": AT_RFC850},                         NOT_MODIFIED, "since-rfc850"),
    ({"if-modified-since": AT_ASCTIME},                        NOT_MODIFIED, "since-asctime"),
    ({"if-modified-since": "tomorrow"},                        PROCEED,      "since-unreadable"),
    ({"if-none-match": '"old"', "if-modified-since": AFTER},   PROCEED,      "miss-hides-since"),
    ({"if-none-match": "now", "if-modified-since": AFTER},     PROCEED,      "junk-hides-since"),
    ({"if-none-match": '"now"', "if-modified-since": BEFORE},  NOT_MODIFIED, "hit-hides-since"),
    # 13.2.2: the order
    ({"if-match": '"old"', "if-none-match": '"now"'},          FAILED,       "412-before-304"),
    ({"if-match": '"now"', "if-none-match": '"now"'},          NOT_MODIFIED, "then-304"),
    ({"if-unmodified-since": BEFORE, "if-modified-since": AT}, FAILED,       "412-first-by-date"),
    ({"if-unmodified-since": AT, "if-none-match": '"now"'},    NOT_MODIFIED, "date-then-tag"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "verdict"), [row[:2] for row in VERDICTS], ids=[row[2] for row in VERDICTS]
)
def test_preconditions_are_judged(fields: dict[str, str], verdict: Verdict) -> None:
    assert evaluate(parse_conditions(fields, NOW), CURRENT) is verdict


UNDATED = [
    # fields                                                   tagged        untagged      id
    ({},                                                       PROCEED,      PROCEED,      "none"),
    ({"if-match": '"now"'},                                    PROCEED,      FAILED,       "match"),
    ({"if-match": '"old"'},                                    FAILED,       FAILED,       "miss"),
    ({"if-match": "*"},                                        PROCEED,      PROCEED,      "any"),
    ({"if-none-match": '"now"'},                               NOT_MODIFIED, PROCEED,      "held"),
    ({"if-none-match": '"old"'},                               PROCEED,      PROCEED,      "stale"),
    ({"if-none-match": "*"},                                   NOT_MODIFIED, NOT_MODIFIED, "any-2"),
    ({"if-match": '"old"', "if-none-match": "*"},              FAILED,       FAILED,       "412"),
    # 13.1.3, 13.1.4: a date field is ignored where there is no date
    ({"if-modified-since": AFTER},                             PROCEED,      PROCEED,      "since"),
    ({"if-unmodified-since": BEFORE},                          PROCEED,      PROCEED,      "unmod"),
    # What has no tag has no tag that a client could send.
    ({"if-none-match": '"\0"'},                                PROCEED,      PROCEED,      "nul"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "tagged", "untagged"), [row[:3] for row in UNDATED], ids=[row[3] for row in UNDATED]
)
def test_what_has_no_date_is_judged_by_its_tag(
    fields: dict[str, str], tagged: Verdict, untagged: Verdict
) -> None:
    assert evaluate_undated(fields, CURRENT.etag) is tagged
    assert evaluate_undated(fields, None) is untagged


TAG_SETS = [
    # field value       set                                         id
    ('"a"',             EntityTagList((A,)),                        "one"),
    ('"a","b"',         EntityTagList((A, B)),                      "no-spaces"),
    ('"a" \t,\t "b"',   EntityTagList((A, B)),                      "spaces-and-tabs"),
    (' , "a",, "b" , ', EntityTagList((A, B)),                      "empty-elements"),
    ('"a,b"',           EntityTagList((EntityTag("a,b", False),)),  "comma-in-a-tag"),
    ('"a, W/", "b"',    NOTHING,                                    "space-in-a-tag"),
    ('"\xe9"',          EntityTagList((EntityTag("\xe9", False),)), "obs-text"),
    ('W/"a","b"',       EntityTagList((EntityTag("a", True), B)),   "weak-and-strong"),
    ("*",               ANY,                                        "any"),
    ("**",              NOTHING,                                    "two-stars"),
    (", ,",             NOTHING,                                    "only-commas"),
    ('"a"b',            NOTHING,                                    "text-after"),
    ('"a",' * 1000,     EntityTagList((A,) * 1000),                 "as-many-as-are-read"),
    ('"a",' * 1001,     NOTHING,                                    "one-too-many"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field_value", "tag_set"), [row[:2] for row in TAG_SETS], ids=[row[2] for row in TAG_SETS]
)
@pytest.mark.parametrize("field", ["if-match", "if-none-match"])
def test_a_tag_field_is_a_list_or_a_star(
    field: str, field_value: str, tag_set: EntityTagSet
) -> None:
    conditions = parse_conditions({field: field_value}, NOW)
    assert getattr(conditions, field.replace("-", "_")) == tag_set


def test_an_unreadable_date_is_as_good_as_absent() -> None:
    fields = {"if-modified-since": "0", "if-unmodified-since": "-1"}
    assert parse_conditions(fields, NOW) == Conditions()


IF_RANGE = [
    # if_range       current       keep  id  13.1.5
    (None,           CURRENT,      True,  "absent"),
    ('"now"',        CURRENT,      True,  "same-tag"),
    ('"old"',        CURRENT,      False, "other-tag"),
    ('W/"now"',      CURRENT,      False, "weak-tag"),
    ('"now"',        WEAK_CURRENT, False, "weak-current"),
    ('W/"now"',      WEAK_CURRENT, False, "both-weak"),
    ('"old", "now"', CURRENT,      False, "no-lists-here"),
    ("*",            CURRENT,      False, "no-star-here"),
    ("now",          CURRENT,      False, "unquoted"),
    ('"now',         CURRENT,      False, "not-closed"),
    ("",             CURRENT,      False, "empty"),
    (AT,             CURRENT,      True,  "same-date"),
    (AT_RFC850,      CURRENT,      True,  "same-date-rfc850"),
    (AT_ASCTIME,     CURRENT,      True,  "same-date-asctime"),
    (BEFORE,         CURRENT,      False, "earlier-date"),
    (AFTER,          CURRENT,      False, "later-date-is-not-equal"),
    ("yesterday",    CURRENT,      False, "unreadable"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("if_range", "current", "applies"),
    [row[:3] for row in IF_RANGE],
    ids=[row[3] for row in IF_RANGE],
)
def test_if_range_keeps_or_drops_range(
    if_range: str | None, current: Validators, applies: bool
) -> None:
    assert range_applies(if_range, current, NOW) is applies


@pytest.mark.parametrize(
    ("now", "applies"),
    [(784_111_777.0, False), (784_111_777.9, False), (784_111_778.0, True)],
)
def test_a_date_is_strong_only_once_its_second_is_over(now: float, applies: bool) -> None:
    assert range_applies(AT, CURRENT, now) is applies  # 8.8.2.2


ANY_FIELDS = st.dictionaries(
    st.sampled_from(["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]),
    st.text(max_size=40) | st.text(alphabet='W/"a, *\t', max_size=20),
)


@given(ANY_FIELDS)
def test_any_fields_get_a_verdict(fields: dict[str, str]) -> None:
    assert evaluate(parse_conditions(fields, NOW), CURRENT) in Verdict


@given(st.text(max_size=40))
def test_any_if_match_without_the_tag_or_a_star_fails(text: str) -> None:
    conditions = parse_conditions({"if-match": text.replace("*", "").replace("now", "")}, NOW)
    assert evaluate(conditions, CURRENT) is FAILED


@pytest.mark.parametrize("garbage", ['"', "W/", ",", " ", "\t,", '"a",', '"a" ', 'W/"', '",'])
def test_64_kib_of_garbage_matches_nothing(garbage: str) -> None:
    fields = {"if-match": garbage * (65_536 // len(garbage))}
    assert evaluate(parse_conditions(fields, NOW), CURRENT) is FAILED
