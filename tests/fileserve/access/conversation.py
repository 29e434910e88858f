"""Several requests to one Site, in one lifespan, from a test that is no coroutine."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from fileserve.app import Site


class Conversation:
    """A client that neither follows redirects nor keeps cookies."""

    def __init__(self, site: Site, runner: asyncio.Runner) -> None:
        self.site = site
        self._runner = runner

    def ask(
        self,
        method: str,
        target: str,
        fields: Mapping[str, str] | None = None,
        *,
        base_url: str = "http://files.example",
        **more: Any,
    ) -> httpx.Response:
        """The answer to one request; more is httpx's own."""

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.site)
            async with httpx.AsyncClient(transport=transport, base_url=base_url) as client:
                return await client.request(method, target, headers=fields or {}, **more)

        return self._runner.run(run())


@contextmanager
def conversation(site: Site) -> Iterator[Conversation]:
    """A conversation with site within its lifespan."""
    with asyncio.Runner() as runner:
        lifespan = site.router.lifespan_context(site)
        runner.run(lifespan.__aenter__())
        try:
            yield Conversation(site, runner)
        finally:
            runner.run(lifespan.__aexit__(None, None, None))
