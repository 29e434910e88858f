"""RFC 9530: digests in fields, and the wish for them."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.http.digest_fields import (
    Judgement,
    digest_field,
    judge_sha256,
    parse_digests,
    wants_sha256,
)

# RFC 9530 appendix B.1: '{"hello": "world"}' and a line feed.
HELLO = b'{"hello": "world"}\n'
HELLO_FIELD = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
SHA = hashlib.sha256(HELLO).digest()

# fmt: off
# RFC 8941 sections 3.2, 4.2.2 and 4.2.7.
DIGESTS = [
    # field value                     digests                         id
    ("",                              {},                             "empty"),
    ("sha-256=:AAEC:",                {"sha-256": b"\0\1\2"},         "one"),
    ("a=:AAEC:, md5=:AA==:",          {"a": b"\0\1\2", "md5": b"\0"}, "two"),
    ("a=:AAEC:\t,  md5=:AA==:",       {"a": b"\0\1\2", "md5": b"\0"}, "OWS"),
    ('sha-256=:AAEC:;a=1; b;c="x\\""', {"sha-256": b"\0\1\2"},         "parameters-are-ignored"),
    ("a=:AA==:, a=:AQ==:",            {"a": b"\1"},                   "the-last-counts"),
    ("a=:AQ:",                        {"a": b"\1"},                   "padding-is-missing"),
    ("a=::",                          {"a": b""},                     "no-bytes"),
    ("  a=::  ",                      {"a": b""},                     "spaces-around"),
    ("*a_-.1=::",                     {"*a_-.1": b""},                "all-of-a-key"),
    ("sha-256",                       None,                           "true-is-no-digest"),
    ("sha-256=AAEC",                  None,                           "token-is-no-digest"),
    ('sha-256="AAEC"',                None,                           "string-is-no-digest"),
    ("sha-256=5",                     None,                           "number-is-no-digest"),
    ("sha-256=(:AAEC:)",              None,                           "inner-list"),
    ("sha-256=:AAEC",                 None,                           "never-closed"),
    ("sha-256=:AA-_:",                None,                           "url-alphabet"),
    ("sha-256=:A:",                   None,                           "six-bits"),
    ("sha-256=:AA=A:",                None,                           "padding-inside"),
    ("sha-256 =:AAEC:",               None,                           "space-before-equals"),
    ("sha-256= :AAEC:",               None,                           "space-behind-equals"),
    ("sha-256=:AAEC:,",               None,                           "comma-at-the-end"),
    (",sha-256=:AAEC:",               None,                           "comma-at-the-beginning"),
    ("a=:AAEC: md5=:AA==:",           None,                           "no-comma"),
    ("SHA-256=:AAEC:",                None,                           "keys-are-lower-case"),
    ("sha-256=:AAEC:\n",              None,                           "line-feed"),
    ("sha-256=:ÄÖ:",                  None,                           "not-ASCII"),
    ("a=::;" * 20_000,                None,                           "long-garbage"),
]
WISHES = [
    # field value                        wanted  id
    ("sha-256=1",                        True,   "least"),
    ("sha-256=10",                       True,   "most"),
    ("sha-256=0",                        False,  "not-acceptable"),    # 9530, 4
    ("sha-256=11",                       False,  "beyond-the-scale"),
    ("sha-256=-1",                       False,  "negative"),
    ("sha-256=3.0",                      False,  "decimal"),
    ("sha-256",                          False,  "true"),
    ("sha-512=3, sha-256=10, unixsum=0", True,   "among-others"),      # 9530, 4
    ("sha-512=10",                       False,  "another"),
    ("",                                 False,  "empty"),
    ("sha-256=5,",                       False,  "unreadable"),
    ("sha-256=1, sha-256=0",             False,  "the-last-counts"),
    ("sha-256=" + "1" * 16,              False,  "number-too-long"),   # 8941, 3.3.1
]
JUDGEMENTS = [
    # field value                      judgement                id
    (HELLO_FIELD,                      Judgement.MATCHES,       "the-example-of-the-RFC"),
    ("sha-256=:AAAA:",                 Judgement.DIFFERS,       "too-short"),
    (HELLO_FIELD.replace("RK", "RL"),  Judgement.DIFFERS,       "one-bit"),
    (f"md5=:AAAA:, {HELLO_FIELD}",     Judgement.MATCHES,       "unknown-ones-are-ignored"),
    ("sha-512=:AAAA:",                 Judgement.SAYS_NOTHING,  "another-algorithm"),
    ("",                               Judgement.SAYS_NOTHING,  "empty"),
    ("sha-256=AAAA",                   Judgement.UNREADABLE,    "no-bytes"),
]
# fmt: on


def test_a_digest_is_written_as_the_rfc_has_it() -> None:
    assert digest_field(SHA) == HELLO_FIELD


@pytest.mark.parametrize(
    ("value", "digests"), [row[:2] for row in DIGESTS], ids=[row[2] for row in DIGESTS]
)
def test_digests(value: str, digests: dict[str, bytes] | None) -> None:
    assert parse_digests(value) == digests


@pytest.mark.parametrize(
    ("value", "is_wanted"), [row[:2] for row in WISHES], ids=[row[2] for row in WISHES]
)
def test_wish_for_sha256(value: str, is_wanted: bool) -> None:
    assert wants_sha256(value) is is_wanted


@pytest.mark.parametrize(
    ("value", "judgement"), [row[:2] for row in JUDGEMENTS], ids=[row[2] for row in JUDGEMENTS]
)
def test_judgement(value: str, judgement: Judgement) -> None:
    assert judge_sha256(value, SHA) is judgement


@given(st.text(max_size=80))
def test_any_text_is_read_or_not(value: str) -> None:
    parse_digests(value)
    wants_sha256(value)


@given(st.binary(min_size=32, max_size=32))
def test_what_is_written_is_read(sha256: bytes) -> None:
    assert parse_digests(digest_field(sha256)) == {"sha-256": sha256}
