"""Tokens: how they look, when they hold, what they allow, and that a wrong one tells nothing."""

import gc
import hashlib
import re
import sys
from types import FrameType
from typing import Any

import pytest

from fileserve.access.tokens import (
    find_token,
    hash_of,
    is_token_name,
    is_valid,
    new_secret,
    segments_of,
    visit_by,
)
from storage.names import Name
from tests.known_tokens import Known

NOW = 1_000.0
SECRET = "fs_" + "Ab0_-" * 8 + "xyz"


def known(secret: str = SECRET, **changes: Any) -> Known:
    return Known("n", hash_of(secret.encode()), **{"scope": "read", **changes})


def test_a_secret_is_256_random_bits_behind_a_mark() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(re.fullmatch(r"fs_[A-Za-z0-9_-]{43}", secret) for secret in secrets)


def test_a_hash_is_sha_256() -> None:
    assert hash_of(b"abc") == hashlib.sha256(b"abc").digest()


VALID = [
    # expires_at  revoked_at  holds at 1,000    id
    (None,        None,       True,             "for-ever"),
    (1_001,       None,       True,             "a-second-left"),
    (1_000,       None,       False,            "in-this-second"),
    (999,         None,       False,            "expired"),
    (None,        1,          False,            "revoked"),
    (1_001,       2_000,      False,            "revoked-whenever"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("expires_at", "revoked_at", "holds"), [row[:3] for row in VALID], ids=[r[3] for r in VALID]
)
def test_when_a_token_holds(expires_at: int | None, revoked_at: int | None, holds: bool) -> None:
    token = known(expires_at=expires_at, revoked_at=revoked_at)
    assert is_valid(token, NOW) == holds
    found = find_token({token.secret_hash: token}, SECRET.encode(), NOW)
    assert (found is token) == holds


WRONG = [
    (SECRET[:-1] + "A", "the-last-character"),
    ("fs_B" + SECRET[4:], "the-first-character"),
    ("Z" * 46, "everything"),
    (SECRET.lower(), "the-case"),
    (SECRET + "=", "one-more"),
    (SECRET[:-1], "one-less"),
    ("", "nothing"),
]


@pytest.mark.parametrize("wrong", [row[0] for row in WRONG], ids=[row[1] for row in WRONG])
def test_a_wrong_secret_finds_nothing(wrong: str) -> None:
    token = known()
    assert find_token({token.secret_hash: token}, wrong.encode(), NOW) is None


def test_the_hash_of_nobody_lets_nobody_in() -> None:
    token = Known("n", bytes(32), "admin")
    assert find_token({bytes(32): token}, bytes(32), NOW) is None


def test_the_work_is_the_same_however_wrong_a_secret_is() -> None:
    """Not by the clock: the same lines run, the same functions are called, in the same order."""
    token = known()
    tokens = {token.secret_hash: token}
    same_length = [text for text, _ in WRONG if len(text) == len(SECRET)]
    # One whose hash, too, begins like the right one.
    guesses = (f"{SECRET[:-4]}{number:04}" for number in range(10_000))
    first = token.secret_hash[0]
    same_length.append(next(text for text in guesses if hash_of(text.encode())[0] == first))
    assert len(same_length) == 5
    works = {tuple(_work_of(tokens, text.encode())) for text in same_length}
    assert len(works) == 1
    work = works.pop()
    # What compares secrets is there, and nothing else that could stop at the first difference.
    assert ("c_call", "compare_digest") in work


def _work_of(tokens: dict[bytes, Known], secret: bytes) -> list[tuple[str, object]]:
    """Lines and calls of finding the token for secret; no garbage is thrown away meanwhile."""
    work: list[tuple[str, object]] = []

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        work.append((event, (frame.f_code.co_name, frame.f_lineno)))
        return trace

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            work.append((event, argument.__name__))

    before = sys.gettrace()
    gc.disable()
    sys.setprofile(profile)
    sys.settrace(trace)
    try:
        find_token(tokens, secret, NOW)
    finally:
        sys.settrace(before)
        sys.setprofile(None)
        gc.enable()
    return [step for step in work if step not in (("c_call", "settrace"),)]


RIGHTS = [
    # scope     path      reads           writes           admin
    ("read",    b"",      (),             None,            False),
    ("read",    b"a/b",   (b"a", b"b"),   None,            False),
    ("write",   b"a",     (b"a",),        (b"a",),         False),
    ("admin",   b"",      (),             (),              True),
    ("other",   b"",      (),             None,            False),  # of a newer version
]  # fmt: skip


@pytest.mark.parametrize("row", RIGHTS, ids=lambda row: f"{row[0]}-{row[1].decode()}")
def test_what_a_token_allows(row: tuple[str, bytes, object, object, bool]) -> None:
    scope, path, reads, writes, is_admin = row
    visit = visit_by(known(scope=scope, path=path))
    assert (visit.reads, visit.writes, visit.is_admin) == (reads, writes, is_admin)
    assert visit.who == "token n"


PLACES = [
    # name            below a/b
    ((),              False),
    ((b"a",),         False),
    ((b"a", b"b"),    True),
    ((b"a", b"bb"),   False),
    ((b"a", b"b", b"c"), True),
    ((b"b",),         False),
]  # fmt: skip


@pytest.mark.parametrize(("segments", "is_below"), PLACES)
def test_a_path_covers_itself_and_what_is_below(
    segments: tuple[bytes, ...], is_below: bool
) -> None:
    visit = visit_by(known(scope="write", path=b"a/b"))
    assert visit.may_read(Name(segments)) == is_below
    assert visit.may_write(Name(segments)) == is_below


@pytest.mark.parametrize("path", [b"", b".", b"/", b"./"])
def test_every_way_to_write_the_root_is_the_root(path: bytes) -> None:
    assert segments_of(path) == ()


NAMES = [
    ("backup", True), ("a", True), ("A.b_c@d+e-f", True), ("a" * 64, True), ("9", True),
    ("", False), ("a" * 65, False), ("-a", False), (".a", False), ("a b", False), ("a;b", False),
    ("a\n", False), ("\N{LATIN SMALL LETTER E WITH ACUTE}", False), ("a=b", False), ("a,b", False),
]  # fmt: skip


@pytest.mark.parametrize(("name", "can_be"), NAMES)
def test_a_name_can_stand_in_a_cookie_and_in_a_log(name: str, can_be: bool) -> None:
    assert (is_token_name(name) is not None) == can_be
