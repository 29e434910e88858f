"""A site with uploads, and what a client of tus asks of it, without a server between them."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from known_tokens import let_in

from fileserve.app import create_app
from fileserve.settings import Settings
from storage.local import LocalStorage
from storage.names import STAGING_SEGMENT

UPLOADS = "/-/uploads/"
OFFSET_STREAM = "application/offset+octet-stream"


@dataclass(frozen=True)
class TusClient:
    """Asks with a token that may write, by tus 1.0.0 unless a field says otherwise."""

    http: httpx.AsyncClient
    secret: str

    async def ask(
        self, method: str, target: str, content: bytes = b"", **fields: str
    ) -> httpx.Response:
        """Names of fields have underscores for hyphens; an empty value leaves the field out."""
        named = {"tus_resumable": "1.0.0", "authorization": f"Bearer {self.secret}", **fields}
        sent = {name.replace("_", "-"): value for name, value in named.items() if value}
        return await self.http.request(method, target, content=content, headers=sent)

    async def create(self, filename: str, length: int, target: str = UPLOADS, **fields: str) -> str:
        """A new upload; its address."""
        metadata = metadata_of(filename=filename)
        answer = await self.ask(
            "POST", target, upload_length=str(length), upload_metadata=metadata, **fields
        )
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    async def patch(
        self, target: str, offset: int, content: bytes, **fields: str
    ) -> httpx.Response:
        kind = {"content_type": OFFSET_STREAM, "upload_offset": str(offset)}
        return await self.ask("PATCH", target, content, **{**kind, **fields})

    async def offset(self, target: str) -> int:
        answer = await self.ask("HEAD", target)
        assert answer.status_code == 200
        return int(answer.headers["upload-offset"])


def metadata_of(**values: str | bytes) -> str:
    """An Upload-Metadata field."""
    encoded = {
        key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
        for key, value in values.items()
    }
    return ",".join(f"{key} {value}" for key, value in encoded.items())


# Of an upload that is nothing special.
NAMED = metadata_of(filename="a.bin")
SIZED = {"upload_length": "10", "upload_metadata": NAMED}


@asynccontextmanager
async def tus_client(
    root: Path, path: bytes = b"", name: str = "tests", scope: str = "write", **settings: object
) -> AsyncIterator[TusClient]:
    """A client of a new site of root, within its lifespan; path: where its token may write."""
    checked = Settings.model_validate({"root": root, "writable": True, **settings})
    # A busy machine is no mount that hangs.
    site = create_app(checked, LocalStorage(root, deadline_seconds=60.0))
    secret = let_in(site, scope, path, name)
    async with (
        site.router.lifespan_context(site),
        httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://host") as http,
    ):
        yield TusClient(http, secret)


def run_with_client(
    root: Path, steps: Callable[[TusClient], Awaitable[None]], **settings: object
) -> None:
    """Run the steps of a test with a client of a new site."""

    async def run() -> None:
        async with tus_client(root, **settings) as client:
            await steps(client)

    asyncio.run(run())


def staged(root: Path) -> list[str]:
    """What lies in the staging folder beside its lock."""
    staging = root / STAGING_SEGMENT.decode()
    names = {entry.name for entry in staging.iterdir()} if staging.exists() else set()
    return sorted(names - {"lock"})


async def parts_of(client: TusClient, *contents: bytes) -> list[str]:
    """New parts with these contents; their addresses."""
    uploads = []
    for content in contents:
        answer = await client.ask(
            "POST", UPLOADS, upload_concat="partial", upload_length=str(len(content))
        )
        uploads.append(answer.headers["location"])
        await client.patch(uploads[-1], 0, content)
    return uploads


async def joined(client: TusClient, uploads: list[str], filename: str) -> httpx.Response:
    """What is answered to the request that makes one file of parts."""
    concat = "final;" + " ".join(uploads)
    metadata = metadata_of(filename=filename)
    return await client.ask("POST", UPLOADS, upload_concat=concat, upload_metadata=metadata)
