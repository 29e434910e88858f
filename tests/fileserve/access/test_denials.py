"""A refusal at the gate: the disk is not touched, and nothing tells what is there."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fileserve.app import Site, create_app
from fileserve.settings import Settings
from storage.blob import Blob
from storage.local import Entry, LocalStorage
from storage.names import Name
from storage.ordering import Direction, SortKey
from tests.known_tokens import let_in

REQUESTS = [
    # method    target behind the folder
    ("GET",     ""),
    ("HEAD",    ""),
    ("GET",     "?view"),
    ("GET",     "?archive=zip"),
    ("GET",     "?manifest=sha256"),
    ("GET",     "?checksum"),
    ("GET",     "/"),
    ("OPTIONS", ""),
    ("PUT",     ""),
    ("POST",    "/"),
    ("DELETE",  ""),
    ("MOVE",    ""),
]  # fmt: skip
THERE, NOT_THERE, NO_NAME = "/b/two.bin", "/b/nothing", "/b/%2e%2e"


class UntouchedStorage(LocalStorage):
    """A disk on which nobody may look for anything."""

    async def open(self, name: Name) -> Blob:
        raise AssertionError(f"{name} was opened")

    def try_open(self, name: Name) -> Blob | None:
        raise AssertionError(f"{name} was opened")

    def list(
        self, name: Name, key: SortKey = SortKey.NAME, direction: Direction = Direction.ASCENDING
    ) -> AsyncIterator[list[Entry]]:
        raise AssertionError(f"{name} was listed, {key} {direction}")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    root = tmp_path / "root"
    (root / "b").mkdir(parents=True)
    (root / "b" / "two.bin").write_bytes(b"0123456789")
    settings = Settings(root=root, private=True, writable=True)
    return create_app(settings, UntouchedStorage(root))


def answers(site: Site, secret: str | None, method: str, rest: str) -> list[httpx.Response]:
    """The answers about what is there, what is not, and what cannot be."""
    fields = {} if secret is None else {"Authorization": f"Bearer {secret}"}

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(site)
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            return [
                await client.request(method, path + rest, headers=fields)
                for path in (THERE, NOT_THERE, NO_NAME)
            ]

    return asyncio.run(ask())


@pytest.mark.parametrize("who", ["nobody", "a stranger", "read elsewhere", "write elsewhere"])
@pytest.mark.parametrize(("method", "rest"), REQUESTS)
def test_a_denied_name_does_not_reveal_whether_it_exists(
    site: Site, who: str, method: str, rest: str
) -> None:
    secrets = {
        "nobody": None,
        "a stranger": "fs_" + "A" * 43,
        "read elsewhere": let_in(site, "read", b"a"),
        "write elsewhere": let_in(site, "write", b"a"),
    }
    there, *others = answers(site, secrets[who], method, rest)
    # OPTIONS tells what the service can do, the same for all names and for everybody: a browser
    # asks it without credentials before a script may show any.
    denied = 403 if "elsewhere" in who else 401
    assert there.status_code == (204 if method == "OPTIONS" else denied)
    for other in others:
        assert (other.status_code, other.content) == (there.status_code, there.content)
        assert other.headers == there.headers


def test_the_page_for_people_keeps_its_secret_too(site: Site) -> None:
    """It holds the address that was asked for, and is the same but for that."""

    async def ask(path: str) -> str:
        transport = httpx.ASGITransport(site)
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            response = await client.get(path, headers={"Accept": "text/html"})
        assert response.status_code == 401
        return response.text.replace(path, "PATH")

    pages = {asyncio.run(ask(path)) for path in (THERE, NOT_THERE)}
    assert len(pages) == 1


CACHED = [
    # private  setting                                  sent
    (False,    "public, max-age=60",                    "public, max-age=60"),
    (True,     "no-cache",                              "private, no-cache"),
    (True,     "public, max-age=60, s-maxage=600",      "private, max-age=60"),
    (True,     "private, max-age=60",                   "private, max-age=60"),
    (True,     "no-store",                              "private, no-store"),
]  # fmt: skip


@pytest.mark.parametrize(("private", "setting", "sent"), CACHED)
def test_no_shared_cache_keeps_what_is_private(
    tmp_path: Path, private: bool, setting: str, sent: str
) -> None:
    (tmp_path / "a.bin").write_bytes(b"1")
    settings = Settings(
        root=tmp_path,
        private=private,
        cache_control=setting,
        state_dir=tmp_path.with_name(tmp_path.name + "-state"),
    )
    site = create_app(settings, LocalStorage(tmp_path))
    secret = let_in(site, "read")

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(site)
        async with (
            site.router.lifespan_context(site),
            httpx.AsyncClient(transport=transport, base_url="http://host") as client,
        ):
            return await client.get("/a.bin", headers={"Authorization": f"Bearer {secret}"})

    assert asyncio.run(ask()).headers["cache-control"] == sent
