"""What the fields of the IETF's resumable uploads say, readable and not."""

import pytest

from fileserve.http.resumption import (
    Asked,
    interop_version,
    is_partial_upload,
    limit_field,
    parse_asked,
)

COMPLETENESS = [
    # Upload-Complete  is_last  id
    ("?1",             True,    "true"),
    ("?0",             False,   "false"),
    (" ?1 ",           True,    "spaces-around"),                    # RFC 9651 section 4.2
    ("?1;a=b",         True,    "parameters-mean-nothing"),
    ("1",              None,    "an-integer"),
    ("true",           None,    "a-token"),
    ("?2",             None,    "no-boolean"),
    ("?1, ?0",         None,    "a-list"),
    ("",               None,    "empty"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "is_last"), [row[:2] for row in COMPLETENESS], ids=[row[2] for row in COMPLETENESS]
)
def test_upload_complete_is_a_boolean_and_else_ignored(value: str, is_last: bool | None) -> None:
    assert parse_asked({"upload-complete": value}) == Asked(is_last, None, None)


NUMBERS = [
    # Upload-Offset         offset                 id
    ("0",                   0,                     "zero"),
    ("007",                 7,                     "leading-zeros"),          # RFC 9651 4.2.4
    ("999999999999999",     999_999_999_999_999,   "fifteen-digits"),         # RFC 9651 3.3.1
    ("1000000000000000",    None,                  "sixteen-digits"),
    ("-1",                  None,                  "negative"),
    ("1.0",                 None,                  "a-decimal"),
    ("\u0663",              None,                  "digits-are-ascii"),
    ("5;x",                 5,                     "parameters-mean-nothing"),
    ("",                    None,                  "empty"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "number"), [row[:2] for row in NUMBERS], ids=[row[2] for row in NUMBERS]
)
def test_lengths_are_integers_and_else_ignored(value: str, number: int | None) -> None:
    asked = parse_asked({"upload-offset": value, "upload-length": value})
    assert asked == Asked(None, number, number)


@pytest.mark.parametrize(("told", "spoken"), [("5", None), ("6", "6"), ("8", "8"), ("9", None)])
def test_a_version_is_spoken_or_not(told: str, spoken: str | None) -> None:
    assert interop_version({"upload-draft-interop-version": told}) == spoken
    assert interop_version({}) is None


def test_the_media_type_is_compared_without_case_and_parameters() -> None:
    assert is_partial_upload({"content-type": "Application/Partial-Upload ; a=b"})
    assert not is_partial_upload({"content-type": "application/partial-uploads"})
    assert not is_partial_upload({})


def test_limits_are_told_where_there_are_some() -> None:
    assert limit_field(None, 60) == (b"upload-limit", b"max-age=60")
    assert limit_field(100, 60) == (b"upload-limit", b"max-size=100, max-age=60")
