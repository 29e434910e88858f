"""Sessions: whose cookie is genuine, how long it holds, and how browsers are told to keep it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fileserve.access.origins import Line
from fileserve.access.sessions import cookie_name, session_cookie, session_value, token_of_session
from fileserve.access.tokens import hash_of
from tests.known_tokens import Known

KEY, OTHER_KEY = b"k" * 32, b"K" * 32
NOW, UNTIL = 1_000.0, 2_000
TOKEN = Known("n.a-m_e", hash_of(b"secret"), "read")


def found(value: str, token: Known = TOKEN, *, key: bytes = KEY, now: float = NOW) -> bool:
    return token_of_session(key, value, {token.name: token}, now) is token


def changed(**changes: Any) -> Known:
    fields = {name: getattr(TOKEN, name) for name in TOKEN.__slots__}
    return Known(**{**fields, **changes})


def test_a_session_stands_for_its_token() -> None:
    assert found(session_value(KEY, TOKEN, UNTIL))


def test_the_value_can_be_worked_out_by_hand() -> None:
    """HMAC-SHA-256 of four lines, made with openssl dgst -sha256 -hmac."""
    key = b"0123456789abcdef0123456789abcdef"
    token = Known("bob", bytes(32), "read")
    signature = "iqstMbhiH9b0lE26apOSQ6nQXqgWWUbmI83bMOBYxCY"
    assert session_value(key, token, 1_700_000_000) == f"1700000000.{signature}.bob"


ENDED = [
    # what changed                                   id
    ({"token": changed(revoked_at=1)},               "the-token-was-revoked"),
    ({"token": changed(expires_at=1_000)},           "the-token-expired"),
    ({"token": changed(secret_hash=hash_of(b"x"))},  "another-token-of-the-same-name"),
    ({"token": changed(name="other")},               "no-token-of-that-name"),
    ({"key": OTHER_KEY},                             "another-key"),
    ({"now": 2_000.0},                               "the-session-expired"),
]  # fmt: skip


@pytest.mark.parametrize("change", [row[0] for row in ENDED], ids=[row[1] for row in ENDED])
def test_a_session_ends(change: dict[str, Any]) -> None:
    assert not found(session_value(KEY, TOKEN, UNTIL), **change)


@given(st.integers(0, 80), st.characters(codec="latin-1"))
def test_no_changed_character_leaves_it_genuine(place: int, character: str) -> None:
    value = session_value(KEY, TOKEN, UNTIL)
    place %= len(value)
    forged = value[:place] + character + value[place + 1 :]
    assert found(forged) == (forged == value)


@pytest.mark.parametrize("value", ["", ".", "..", "...", "2000..n.a-m_e", "x" * 10_000, "٢.a.n"])
def test_garbage_is_no_session(value: str) -> None:
    assert not found(value)


def test_the_cookie_is_for_this_host_and_its_own_pages_only() -> None:
    cookie = session_cookie(Line.ENCRYPTED, "v", 60)
    expected = "__Host-fileserve=v; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure"
    assert cookie == expected.encode()


def test_on_a_plain_line_the_cookie_has_no_prefix() -> None:
    """A __Host- cookie without Secure is refused by every browser (6265bis, 4.1.3.2)."""
    assert cookie_name(Line.PLAIN) == "fileserve"
    expected = "fileserve=v; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
    assert session_cookie(Line.PLAIN, "v", 0) == expected.encode()
