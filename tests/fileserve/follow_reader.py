"""A client of `?follow`, without a server between them, and what it reads of a file that grows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from event_source import Event, EventSource
from recording_send import RecordingSend, http_scope
from starlette.types import Message, Scope

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.follow import send_follow
from fileserve.site.following import FollowLimits
from storage.local import LocalStorage
from storage.names import Name

EVENTS = "text/event-stream"
# How the tests wait for what comes by itself.
PATIENCE_SECONDS = 60.0
SOON = FollowLimits(idle_seconds=0.0)
NEVER = FollowLimits(idle_seconds=3600.0)
CONTROL = [
    (b"cache-control", b"no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),
    (b"access-control-allow-origin", b"*"),
]


@dataclass
class Reader(RecordingSend):
    """A client of `?follow` on a file, that may see what has come so far."""

    path: Path
    limits: FollowLimits
    messages: list[Message] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    accepts: asyncio.Event = field(default_factory=asyncio.Event)
    cause: EndCause | None = None

    def __post_init__(self) -> None:
        self.accepts.set()

    async def __call__(self, message: Message) -> None:
        await self.accepts.wait()
        await super().__call__(message)

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def read(self, scope: Scope) -> None:
        """Reads to the end; cause is set where that was a cut."""
        storage = LocalStorage(self.path.parent)
        name = Name((self.path.name.encode(),))
        blob = await storage.open(name)
        try:
            await send_follow(
                scope, self.receive, self, storage, name, blob, self.limits, self.stopping, CONTROL
            )
        except TransferCut as cut:
            self.cause = cut.cause
        finally:
            await blob.close()
            await storage.close()

    async def until(self, is_true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_true():
            assert time.monotonic() < deadline, self.messages
            await asyncio.sleep(0.01)

    @property
    def source(self) -> EventSource:
        source = EventSource()
        source.feed(self.content)
        return source

    @property
    def events(self) -> list[Event]:
        return self.source.events


def follow(
    path: Path,
    query: str = "follow",
    *,
    limits: FollowLimits = SOON,
    method: str = "GET",
    meanwhile: Callable[[Reader], Awaitable[None]] | None = None,
    extensions: Mapping[str, object] = MappingProxyType({}),
    **fields: str,
) -> Reader:
    """A whole request; meanwhile changes the file while it is read."""

    async def run() -> Reader:
        reader = Reader(path, limits)
        scope = http_scope(method, f"/{path.name}?{query}", **fields)
        scope["extensions"] = extensions
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(reader.read(scope))
            if meanwhile is not None:
                await meanwhile(reader)
        return reader

    return asyncio.run(run())


def inode(path: Path) -> str:
    return f"{path.stat().st_ino:x}"


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)
