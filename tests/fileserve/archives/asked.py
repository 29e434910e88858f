"""Asks for archives without a server: a storage, a request, and a send that takes slices."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.types import Message, Receive, Scope

from fileserve.delivery.outcomes import EndCause, TransferCut
from fileserve.site.archives import ArchiveLimits, send_archive
from storage.local import LocalStorage
from storage.names import parse_os_path
from tests.fileserve.recording_send import RecordingSend, http_scope, no_more_request

NO_LIMITS = ArchiveLimits()
MIB = 1 << 20
LARGE = bytes(range(256)) * 4096  # 1 MiB: more than what is read together with others
CONTROL = ((b"cache-control", b"no-cache"), (b"x-content-type-options", b"nosniff"))


class Sending(RecordingSend):
    """Takes zero-copy slices, too, as the server would; before tells what happens ahead of each."""

    def __init__(self, before: Callable[[Message], object] = lambda message: None) -> None:
        super().__init__()
        self._before = before

    async def __call__(self, message: Message) -> None:
        self._before(message)
        if message["type"] == "http.response.zerocopysend":
            fileno = message["file"].fileno()
            body = os.pread(fileno, message["count"], message["offset"])
            if len(body) < message["count"]:
                raise TransferCut(EndCause.SHRANK)
            message = {"type": "http.response.body", "body": body, "more_body": True}
        await super().__call__(message)


def scope_of(method: str = "GET", *, is_zero_copy: bool = True, **fields: str) -> Scope:
    extensions = {"http.response.zerocopysend": {}} if is_zero_copy else {}
    return {**http_scope(method, "/set/?archive=zip", **fields), "extensions": extensions}


def with_storage(
    root: Path, work: Callable[[LocalStorage], Awaitable[None]], *chunked: str
) -> None:
    """Run work with the storage of root; files below the names in chunked are read in threads."""

    async def run() -> None:
        storage = LocalStorage(root, chunked=[parse_os_path(name) for name in chunked])
        try:
            await work(storage)
        finally:
            await storage.close()

    asyncio.run(run())


async def ask(  # noqa: PLR0917 - a question has many sides
    storage: LocalStorage,
    scope: Scope,
    form: str = "zip",
    folder: str = "set",
    limits: ArchiveLimits = NO_LIMITS,
    send: Sending | None = None,
    receive: Receive = no_more_request,
) -> Sending:
    send = send or Sending()
    name = parse_os_path(folder)
    await send_archive(scope, receive, send, storage, name, form, limits, CONTROL)
    return send


def answer(root: Path, form: str = "zip", folder: str = "set", **fields: str) -> Sending:
    """The answer to one GET."""
    return answers(root, scope_of(**fields), form=form, folder=folder)


def answers(root: Path, scope: Scope, **asked: object) -> Sending:
    found: list[Sending] = []

    async def work(storage: LocalStorage) -> None:
        found.append(await ask(storage, scope, **asked))  # type: ignore[arg-type]

    with_storage(root, work)
    return found[0]
