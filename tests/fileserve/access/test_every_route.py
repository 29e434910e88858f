"""Every route against every credential, in each way to run a server (see route_tables).

Each request comes from an address of its own, so that none is slowed (429).
"""

import asyncio
import base64
import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import time

import httpx
import pytest
from route_tables import CLOSED, PRIVATE, PUBLIC, WRITABLE, WRITES

from fileserve.access.keys import Purpose, signing_key
from fileserve.access.links import Link, signed_path
from fileserve.app import Site, create_app
from fileserve.settings import Settings
from fileserve.site.pages import STATIC_FILES
from fileserve.state import made_state_folder
from storage.local import LocalStorage
from tests.known_tokens import revoke, token_for

STATIC = next(iter(STATIC_FILES))
COLUMNS = (
    *("none", "read", "write", "admin", "expired", "other", "revoked"),
    *("link", "expired-link", "tampered-link"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A request, and the status it has for each of COLUMNS."""

    mode: str
    method: str
    target: str
    statuses: tuple[int, ...]


MODES: dict[str, dict[str, object]] = {
    "public": {},
    "private": {"private": True},
    "writable": {"writable": True},
    "closed": {"private": True, "writable": True},
}
FORM = {"content-type": "multipart/form-data; boundary=b"}
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="new"\r\n\r\nnew\r\n--b--\r\n'


def rows_of(mode: str, table: str) -> list[Row]:
    words = [line.split() for line in table.strip().splitlines()]
    return [Row(mode, row[0], row[1], tuple(map(int, row[2:]))) for row in words]


ROWS = [
    *rows_of("public", PUBLIC),
    *rows_of("private", PRIVATE),
    *rows_of("writable", WRITABLE + WRITES.lstrip()),
    *rows_of("closed", CLOSED + WRITES.lstrip()),
]
_addresses = (f"192.0.2.{n % 250}.{n}" for n in itertools.count())


class World:
    """A folder, its tokens and links, and what a server in each mode answers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.renew()
        past = int(time()) - 10
        self.tokens = {
            "read": token_for(root, "read", "a"),
            "write": token_for(root, "write", "a"),
            "admin": token_for(root, "admin"),
            "expired": token_for(root, "admin", expires_at=past),
            "other": token_for(root, "write", "b"),
            "revoked": token_for(root, "admin", name="revoked"),
        }
        revoke(root, "revoked")
        key = signing_key(made_state_folder(Settings(root=root)), Purpose.LINK)
        link, old = Link("good", (b"a",), True), Link("old1", (b"a",), True, expires_at=past)
        good, expired = (signed_path(each, key.key_id, key.secret) for each in (link, old))
        # A letter of the id, which is signed.
        self.prefixes = {
            "link": good.removesuffix("/a/"),
            "expired-link": expired.removesuffix("/a/"),
            "tampered-link": good.removesuffix("/a/").replace("igood", "igooe"),
        }

    def renew(self) -> None:
        """What a request may have made, moved or removed is as it was."""
        for folder in ("a", "b"):
            shutil.rmtree(self.root / folder, ignore_errors=True)
            (self.root / folder).mkdir(parents=True)
        for path in ("a/one.txt", "a/one.srt", "b/two.txt"):
            (self.root / path).write_text("1\n00:00:01,000 --> 00:00:02,000\nwords\n")

    def request(self, row: Row, column: str) -> tuple[str, dict[str, str], bytes]:
        """The target, the fields and the content of a request with the credentials of a column."""
        target, _, goal = row.target.replace("STATIC", STATIC).partition(">")
        fields, content = wishes(row.method, target, goal)
        if column in self.prefixes:
            return self.prefixes[column] + target, fields, content
        if (secret := self.tokens.get(column)) is not None:
            fields["authorization"] = f"Bearer {secret}"
        return target, fields, content

    @cache  # noqa: B019 - one for the module
    def answers(self, mode: str) -> dict[tuple[str, str], tuple[int, ...]]:
        """The statuses of all rows of a mode, by method and target."""
        return asyncio.run(self._ask_all(mode))

    async def _ask_all(self, mode: str) -> dict[tuple[str, str], tuple[int, ...]]:
        found = {}
        async with serving(self.root, **MODES[mode]) as site:
            for row in ROWS:
                if row.mode == mode:
                    statuses = [await self._ask(site, row, column) for column in COLUMNS]
                    found[row.method, row.target] = tuple(statuses)
        return found

    async def _ask(self, site: Site, row: Row, column: str) -> int:
        self.renew()
        target, fields, content = self.request(row, column)
        transport = httpx.ASGITransport(site, client=(next(_addresses), 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            response = await client.request(row.method, target, headers=fields, content=content)
        return response.status_code


@asynccontextmanager
async def serving(root: Path, **settings: object) -> AsyncIterator[Site]:
    """A site in its lifespan, of the storage of root."""
    fixed = {"root": root, "follow_idle_seconds": 0.1}
    site = create_app(Settings.model_validate({**fixed, **settings}), LocalStorage(root))
    async with site.router.lifespan_context(site):
        yield site


def wishes(method: str, target: str, goal: str) -> tuple[dict[str, str], bytes]:
    """The fields and the content with which a request is complete."""
    if target.startswith("/-/uploads"):
        path = base64.b64encode(goal.encode()).decode()
        upload = {"Upload-Length": "3", "Upload-Metadata": f"filename {path}"}
        return {"Tus-Resumable": "1.0.0", **(upload if method == "POST" else {})}, b""
    if method == "MOVE":
        return {"Destination": goal}, b""
    if method == "POST" and not target.startswith("/-/"):
        return dict(FORM), PART
    return {}, b"new" if method == "PUT" else b""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("routes") / "root")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.mode} {row.method} {row.target}")
def test_each_route_for_each_credential(world: World, row: Row) -> None:
    found = dict(zip(COLUMNS, world.answers(row.mode)[row.method, row.target], strict=True))
    assert found == dict(zip(COLUMNS, row.statuses, strict=True))
