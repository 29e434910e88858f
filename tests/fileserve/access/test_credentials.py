"""What a request shows: Authorization in all its forms, and the cookie."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.access.credentials import (
    SessionShown,
    Shown,
    TokenShown,
    cookie_value,
    secret_in,
    shown_in,
)


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


SECRETS = [
    # field value                       secret         id
    (b"Bearer fs_abc",                  b"fs_abc",     "bearer"),
    (b"bearer fs_abc",                  b"fs_abc",     "schemes-have-no-case"),     # 9110, 11.1
    (b"BEARER   fs_abc",                b"fs_abc",     "several-spaces"),           # 1*SP
    (b"Bearer",                         b"",           "bearer-of-nothing"),
    (b"Bearer ",                        b"",           "bearer-of-a-space"),
    (basic("any:fs_abc"),               b"fs_abc",     "basic"),
    (basic(":fs_abc"),                  b"fs_abc",     "basic-without-a-user"),
    (basic("any:fs:abc"),               b"fs:abc",     "a-password-may-hold-colons"),  # 7617, 2
    (basic("fs_abc"),                   b"",           "basic-without-a-colon"),
    (b"Basic fs_abc",                   b"",           "not-base64"),
    (b"Basic YTpi\n",                   b"",           "a-line-break-in-it"),
    (b"Basic YTpi?",                    b"",           "a-strange-character-in-it"),
    (b"Basic \xff\xfe",                 b"",           "not-ascii"),
    (b"Basic",                          b"",           "basic-of-nothing"),
    (b"Digest username=x",              b"",           "another-scheme"),
    (b"fs_abc",                         b"",           "no-scheme"),
    (b"",                               b"",           "empty"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field_value", "secret"), [row[:2] for row in SECRETS], ids=[row[2] for row in SECRETS]
)
def test_the_secret_of_an_authorization(field_value: bytes, secret: bytes) -> None:
    assert secret_in(field_value) == secret


@given(st.binary(max_size=80))
def test_any_field_value_is_read_without_an_error(value: bytes) -> None:
    secret_in(value)
    secret_in(b"Basic " + value)
    cookie_value(value, b"a")


COOKIES = [
    # field value              value of "a"     id
    (b"a=1",                   b"1",            "alone"),
    (b"b=2; a=1",              b"1",            "second"),
    (b"b=2;a=1",               b"1",            "without-a-space"),
    (b"a=1; a=2",              b"1",            "the-first-counts"),
    (b"a=1=2",                 b"1=2",          "an-equals-sign-in-the-value"),
    (b"a=",                    b"",             "empty"),
    (b"a",                     None,            "no-equals-sign"),
    (b"xa=1",                  None,            "the-end-of-another-name"),
    (b"A=1",                   None,            "names-have-case"),
    (b"",                      None,            "nothing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("field_value", "value"), [row[:2] for row in COOKIES], ids=[row[2] for row in COOKIES]
)
def test_the_value_of_a_cookie(field_value: bytes, value: bytes | None) -> None:
    assert cookie_value(field_value, b"a") == value


BEARER, COOKIE = (b"authorization", b"Bearer t"), (b"cookie", b"s=v")
SHOWN: list[tuple[list[tuple[bytes, bytes]], Shown, str]] = [
    ([],                              None,                "nothing"),
    ([(b"cookie", b"other=1")],       None,                "another-cookie"),
    ([COOKIE],                        SessionShown("v"),   "cookie"),
    ([BEARER],                        TokenShown(b"t"),    "token"),
    ([COOKIE, BEARER],                TokenShown(b"t"),    "authorization-outranks-the-cookie"),
    ([(b"authorization", b"")],       TokenShown(b""),     "unreadable-is-wrong-not-missing"),
    ([BEARER, BEARER],                TokenShown(b""),     "two-authorizations-are-unreadable"),
    ([(b"cookie", b"x=1"), COOKIE],   SessionShown("v"),   "in-the-second-cookie-field"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "shown"), [row[:2] for row in SHOWN], ids=[row[2] for row in SHOWN]
)
def test_what_a_request_shows(fields: list[tuple[bytes, bytes]], shown: Shown) -> None:
    assert shown_in(fields, b"s") == shown
