"""A site of a folder with two links, and requests by clients of several addresses."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from fileserve.access.keys import Purpose, signing_key
from fileserve.access.links import Link, signed_path
from fileserve.app import create_app
from fileserve.settings import Settings
from storage.catalog import Catalog
from storage.local import LocalStorage

CONTENT = bytes(range(250)) * 40
FILE = Link("filelink", (b"films", b"a b.bin"), is_folder=False)
FOLDER = Link("folderlink", (b"films",), is_folder=True)
PLACE = "/films/a%20b.bin"


@dataclass(frozen=True)
class Served:
    """A site of a folder, and the folder of its keys and catalog."""

    root: Path
    state: Path

    def path(self, link: Link, below: str = "") -> str:
        """The path of a link's URL; below stands behind it."""
        key = signing_key(self.state, Purpose.LINK)
        return signed_path(link, key.key_id, key.secret) + below

    def catalog(self) -> Catalog:
        return Catalog.open(f"sqlite:///{self.state / 'catalog.sqlite'}")

    @asynccontextmanager
    async def running(self, **settings: object) -> Any:
        checked = Settings.model_validate({"root": self.root, "state_dir": self.state, **settings})
        site = create_app(checked, LocalStorage(self.root))
        async with site.router.lifespan_context(site):
            yield site

    def ask(self, *asked: "Asked", **settings: object) -> list[httpx.Response]:
        """The answers of one server to one request after the other."""

        async def run() -> list[httpx.Response]:
            async with self.running(**settings) as site:
                return [await each.of(site) for each in asked]

        return asyncio.run(run())

    def get(self, path: str, client: str = "192.0.2.7", **fields: str) -> httpx.Response:
        return self.ask(Asked(path, client=client, fields=fields))[0]


@dataclass(frozen=True)
class Asked:
    """A request by a client; the names of fields have underscores."""

    path: str
    method: str = "GET"
    client: str = "192.0.2.7"
    fields: Any = None

    async def of(self, site: Any) -> httpx.Response:
        transport = httpx.ASGITransport(site, client=(self.client, 50_000))
        names = {name.replace("_", "-"): value for name, value in (self.fields or {}).items()}
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            return await client.request(self.method, self.path, headers=names)


def statuses(answers: Sequence[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]
