"""Receives the content of a request into an upload, and keeps what has come, however it ends."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from enum import Enum

from starlette.types import Message, Receive

from fileserve.http.tus import Checksum
from fileserve.site.receiving import Underway
from storage.uploads import Upload

_LOOK_SECONDS = 1.0


class Ending(Enum):
    """How the content of a request ended."""

    COMPLETE = "complete"
    GONE = "the client is gone"
    WANTED = "another request wants the upload"
    TOO_LONG = "more than the upload may have"
    MISMATCH = "not what the checksum says"


async def receive_into(
    upload: Upload, receive: Receive, limit: int | None, checksum: Checksum | None
) -> Ending:
    """Append the content to the upload; what has come is on the disk when this returns.

    limit: the most bytes that the upload may have.  With a checksum the content counts as a whole
    or not at all.  Raises StorageErrors; what had come stays.
    """
    if checksum is not None:
        return await _receive_verified(upload, receive, limit, checksum)
    try:
        return await _receive(upload, receive, limit)
    finally:
        await upload.run(upload.opened.sync)


async def _receive_verified(
    upload: Upload, receive: Receive, limit: int | None, checksum: Checksum
) -> Ending:
    start, ending = upload.offset, Ending.GONE
    hasher = hashlib.new(checksum.algorithm, usedforsecurity=False)
    await upload.run(upload.opened.distrust_what_comes)
    try:
        ending = await _receive(upload, receive, limit, hasher.update)
        if ending is Ending.COMPLETE and not checksum.fits(hasher.digest()):
            ending = Ending.MISMATCH
    finally:
        if ending is Ending.COMPLETE:
            await upload.run(upload.opened.sync)
        else:
            await upload.run(lambda: upload.opened.cut_back(start))
    return ending


async def _receive(
    upload: Upload,
    receive: Receive,
    limit: int | None,
    also: Callable[[bytes], None] | None = None,
) -> Ending:
    room = None if limit is None else limit - upload.offset
    async with aclosing(_steps(upload, receive)) as steps:
        async for step in steps:
            if isinstance(step, Ending):
                return step
            if room is not None:
                room -= sum(map(len, step))
                if room < 0:
                    return Ending.TOO_LONG
            await upload.append(step, also)
    return Ending.COMPLETE


async def _steps(upload: Upload, receive: Receive) -> AsyncGenerator[list[bytes] | Ending, None]:
    """The content in lists of about 1 MiB; an Ending at last where it did not come whole."""
    pieces: list[bytes] = []
    Underway.count += 1
    receiving = asyncio.ensure_future(receive())
    try:
        while True:
            message = await _next(receiving, upload)
            if message is None or message["type"] != "http.request":
                yield pieces
                yield Ending.GONE if message is not None else Ending.WANTED
                return
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                yield pieces
                return
            # While these are written the next are on their way.
            receiving = asyncio.ensure_future(receive())
            if sum(map(len, pieces)) >= Underway.piece_bytes():
                yield pieces
                pieces = []
    finally:
        Underway.count -= 1
        receiving.cancel()


async def _next(receiving: "asyncio.Future[Message]", upload: Upload) -> Message | None:
    """The next message; None where it keeps others waiting who want the upload."""
    while True:
        done, _ = await asyncio.wait({receiving}, timeout=_LOOK_SECONDS)
        if done:
            return receiving.result()
        if await upload.run(upload.opened.is_wanted):
            return None
