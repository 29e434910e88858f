"""Who comes past the gate: every right against every place, before the disk is touched."""

from pathlib import Path

import pytest

from tests.asked_sites import ask, site_for
from tests.known_tokens import let_in

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
