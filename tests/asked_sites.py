"""Asks a Site within its lifespan, through a real client, without a socket."""

import asyncio
from pathlib import Path

import httpx

from fileserve.app import Site, create_app
from fileserve.settings import Settings
from storage.local import LocalStorage


def site_for(root: Path, **settings: object) -> Site:
    """The site of a folder with these settings."""
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
