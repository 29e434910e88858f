"""Who comes past the gate: every right against every place, before the disk is touched."""

import asyncio
from pathlib import Path

import httpx
import pytest

from fileserve.app import Site, create_app
from fileserve.settings import Settings
from storage.local import LocalStorage
from tests.known_tokens import let_in

PUBLIC: dict[str, object] = {}
PRIVATE: dict[str, object] = {"private": True}
WRITABLE: dict[str, object] = {"writable": True}
CLOSED: dict[str, object] = {"private": True, "writable": True}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "a").mkdir(parents=True)
    (folder / "b").mkdir()
    (folder / "a" / "one.bin").write_bytes(b"0123456789")
    (folder / "b" / "two.bin").write_bytes(b"0123456789")
    return folder


def site_for(root: Path, **settings: object) -> Site:
    checked = Settings.model_validate({"root": root, **settings})
    return create_app(checked, LocalStorage(root))


def ask(site: Site, method: str, target: str, **fields: str) -> httpx.Response:
    """The answer of a site, through a real client; the names of fields have underscores."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(site)
        async with (
            site.router.lifespan_context(site),
            httpx.AsyncClient(transport=transport, base_url="http://host") as client,
        ):
            names = {name.replace("_", "-"): value for name, value in fields.items()}
            return await client.request(method, target, headers=names)

    return asyncio.run(run())


# A token for reading below /a, and one for writing there.
Row = tuple[dict[str, object], str | None, str, str, int]
JUDGED: list[Row] = [
    # settings  token    method    target              status
    (PUBLIC,    None,    "GET",    "/a/one.bin",       200),
    (PUBLIC,    "wrong", "GET",    "/a/one.bin",       200),
    (PUBLIC,    "write", "PUT",    "/a/new.bin",       405),
    (PRIVATE,   None,    "GET",    "/a/one.bin",       401),
    (PRIVATE,   None,    "GET",    "/a/nothing",       401),
    (PRIVATE,   None,    "GET",    "/%2e%2e/",         401),
    (PRIVATE,   None,    "GET",    "/",                401),
    (PRIVATE,   None,    "GET",    "/-/nothing",       401),
    (PRIVATE,   None,    "GET",    "/-/health",        200),
    (PRIVATE,   None,    "GET",    "/-/ready",         200),
    (PRIVATE,   None,    "GET",    "/-/login",         200),
    (PRIVATE,   None,    "OPTIONS", "/a/one.bin",      204),
    (PRIVATE,   None,    "OPTIONS", "/a/nothing",      204),
    (PRIVATE,   "wrong", "GET",    "/a/one.bin",       401),
    (PRIVATE,   "read",  "GET",    "/a/one.bin",       200),
    (PRIVATE,   "read",  "HEAD",   "/a/one.bin",       200),
    (PRIVATE,   "read",  "GET",    "/a/nothing",       404),
    (PRIVATE,   "read",  "GET",    "/a/",              200),
    (PRIVATE,   "read",  "GET",    "/",                403),
    (PRIVATE,   "read",  "GET",    "/b/two.bin",       403),
    (PRIVATE,   "read",  "GET",    "/b/nothing",       403),
    (PRIVATE,   "read",  "GET",    "/%2e%2e/",         403),
    (PRIVATE,   "read",  "GET",    "/ab",              403),
    (PRIVATE,   "read",  "PUT",    "/a/new.bin",       405),
    (WRITABLE,  None,    "GET",    "/a/one.bin",       200),
    (WRITABLE,  None,    "PUT",    "/a/new.bin",       401),
    (WRITABLE,  "wrong", "PUT",    "/a/new.bin",       401),
    (WRITABLE,  "read",  "PUT",    "/a/new.bin",       403),
    (WRITABLE,  "write", "PUT",    "/b/new.bin",       403),
    (WRITABLE,  "write", "DELETE", "/b/two.bin",       403),
    (WRITABLE,  "write", "MOVE",   "/b/two.bin",       403),
    (CLOSED,    "read",  "DELETE", "/a/one.bin",       403),
]  # fmt: skip


@pytest.mark.parametrize("row", JUDGED, ids=str)
def test_the_gate_judges_by_right_and_place(root: Path, row: Row) -> None:
    settings, token, method, target, status = row
    site = site_for(root, **settings)
    secrets = {"wrong": "fs_" + "A" * 43}
    secrets |= {scope: let_in(site, scope, b"a") for scope in ("read", "write")}
    fields = {} if token is None else {"authorization": f"Bearer {secrets[token]}"}
    assert ask(site, method, target, **fields).status_code == status
