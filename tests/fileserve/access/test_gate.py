"""Who comes past the gate: every right against every place, before the disk is touched."""

from pathlib import Path

import pytest

from fileserve.access.asking import Asked
from fileserve.access.gate import Gate
from fileserve.access.tokens import hash_of, new_secret
from fileserve.settings import Settings
from tests.asked_sites import ask, site_for
from tests.known_tokens import Known, let_in

PUBLIC: dict[str, object] = {}
PRIVATE: dict[str, object] = {"private": True}
WRITABLE: dict[str, object] = {"writable": True}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    (folder / "a" / "one.bin").write_bytes(b"0123456789")
    (folder / "b" / "two.bin").write_bytes(b"0123456789")
    return folder


# A token for reading below /a.  What is not here is in route_tables, for each credential.
Row = tuple[dict[str, object], str | None, str, str, int]
JUDGED: list[Row] = [
    # settings  token    method    target              status
    (PUBLIC,    "wrong", "GET",    "/a/one.bin",       200),
    (PRIVATE,   None,    "GET",    "/%2e%2e/",         401),
    (PRIVATE,   None,    "OPTIONS", "/a/nothing",      204),
    (PRIVATE,   "wrong", "GET",    "/a/one.bin",       401),
    (PRIVATE,   "read",  "GET",    "/b/nothing",       403),
    (PRIVATE,   "read",  "GET",    "/%2e%2e/",         403),
    (PRIVATE,   "read",  "GET",    "/ab",              403),
    (WRITABLE,  "wrong", "PUT",    "/a/new.bin",       401),
]  # fmt: skip


@pytest.mark.parametrize("row", JUDGED, ids=str)
def test_the_gate_judges_by_right_and_place(root: Path, row: Row) -> None:
    settings, token, method, target, status = row
    site = site_for(root, **settings)
    secrets = {"wrong": "fs_" + "A" * 43, "read": let_in(site, "read", b"a")}
    fields = {} if token is None else {"authorization": f"Bearer {secrets[token]}"}
    assert ask(site, method, target, **fields).status_code == status


def test_the_use_of_a_token_is_told_once_in_a_while(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    secret = new_secret()
    known = Known("bob", hash_of(secret.encode()), "read")
    gate = Gate(
        Settings(root=root, private=True),
        lambda: {known.secret_hash: known},
        lambda: b"",
        lambda name, now: told.append((name, now)),
    )
    asked = Asked("GET", b"/", [(b"authorization", f"Bearer {secret}".encode())], "::1", "http")
    for second in (1_000, 1_001, 1_059, 1_060):
        monkeypatch.setattr("fileserve.access.gate.time.time", lambda now=second: now)
        assert gate.may_read_at_once(asked)
    assert told == [("bob", 1_000), ("bob", 1_060)]
