"""A writable site with something in it, and requests that change it, without a server between."""

import asyncio
import base64
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from known_tokens import let_in
from test_app import site_for

from fileserve.app import Site, create_app
from fileserve.settings import Settings
from storage.local import HiddenNames, LocalStorage
from storage.names import STAGING_SEGMENT

STAGING = os.fsdecode(STAGING_SEGMENT)
CONTENT = b"new content"


def digest(content: bytes, algorithm: str = "sha256") -> str:
    name = {"sha256": "sha-256", "sha512": "sha-512"}[algorithm]
    encoded = base64.b64encode(hashlib.new(algorithm, content).digest()).decode()
    return f"{name}=:{encoded}:"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    method: str
    target: str
    content: bytes | AsyncIterator[bytes]
    fields: dict[str, str]


def ask(
    root: Path,
    method: str,
    target: str,
    content: bytes | AsyncIterator[bytes] = b"",
    fields: dict[str, str] | None = None,
    *,
    path: bytes = b"",
    **settings: object,
) -> httpx.Response:
    """The answer to a writer's request; path: what the token is for."""
    checked = Settings.model_validate({"root": root, "writable": True, **settings})
    hidden = HiddenNames.SHOW if checked.hidden else HiddenNames.REFUSE
    site = create_app(checked, LocalStorage(root, hidden=hidden))
    return asyncio.run(ask_site(site, Asked(method, target, content, fields or {}), path))


async def ask_site(site: Site, asked: Asked, path: bytes) -> httpx.Response:
    """The same of a site that is there."""
    secret = let_in(site, scope="write", path=path)
    transport = httpx.ASGITransport(site)
    try:
        # Without a lifespan there is no catalog, and that hinders no upload.
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            fields = {"Authorization": f"Bearer {secret}", **asked.fields}
            return await client.request(
                asked.method, asked.target, content=asked.content, headers=fields
            )
    finally:
        await site.state.storage.close()


def tag_of(root: Path, name: str) -> str:
    async def get() -> str:
        site = site_for(root)
        transport = httpx.ASGITransport(site)
        async with httpx.AsyncClient(transport=transport, base_url="http://host") as client:
            return (await client.head(f"/{name}")).headers["etag"]

    return asyncio.run(get())


def state(root: Path) -> dict[str, bytes | None]:
    """Everything below the folder above root, but for what uploads need themselves."""
    return {
        str(path.relative_to(root.parent)): _content_of(path)
        for path in root.parent.rglob("*")
        if STAGING not in path.parts
    }


def _content_of(path: Path) -> bytes | None:
    if path.is_symlink():
        return os.readlink(os.fsencode(path))
    return path.read_bytes() if path.is_file() else None


def full_folder(tmp_path: Path) -> Path:
    """A folder to serve with one of everything that can be in the way, and a secret beside it."""
    folder = tmp_path / "root"
    (folder / "full" / "inner").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "old").write_bytes(b"old")
    (folder / "full" / "inner" / "file").write_bytes(b"file")
    (folder / "link").symlink_to("old")
    (folder / ".hidden").write_bytes(b"hidden")
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "out").symlink_to("../")
    return folder
