"""What the tests of a folder tree as storage do again and again."""

import asyncio
from collections.abc import Callable

from storage.local import Entry, LocalStorage
from storage.names import Name, parse_os_path

WAIT_SECONDS = 30.0
ROOT = Name(())


async def contents(storage: LocalStorage, path: str) -> bytes:
    blob = await storage.open(parse_os_path(path))
    try:
        return await blob.read(0, 100)
    finally:
        await blob.close()


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not is_true():
            await asyncio.sleep(0.005)


async def listed(storage: LocalStorage, path: str = ".") -> list[Entry]:
    return [entry async for batch in storage.list(parse_os_path(path)) for entry in batch]
