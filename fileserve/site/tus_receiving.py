"""Receives the content of a request into an upload, and keeps what has come, however it ends."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from typing import Self

from starlette.types import Message, Receive, Scope

from fileserve.delivery.content_socket import ContentSocket
from fileserve.http.tus import Checksum
from fileserve.site.change_requests import content_length_of
from fileserve.site.receiving import SocketLender, Underway, lender_of
from storage.digests import Buffer
from storage.upload_growing import Upload

_LOOK_SECONDS = 1.0


class Ending(Enum):
    """How the content of a request ended."""

    COMPLETE = "complete"
    GONE = "the client is gone"
    WANTED = "another request wants the upload"
    TOO_LONG = "more than the upload may have"
    MISMATCH = "not what the checksum says"


@dataclass(frozen=True, slots=True)
class Source:
    """The content of a request; lender: where it is of a length that the upload may have."""

    receive: Receive
    lender: SocketLender | None = None

    @classmethod
    def of(cls, scope: Scope, receive: Receive, room: int | None) -> Self:
        """The content of this request; room: the most bytes that may be appended."""
        coming = content_length_of(scope)
        is_bounded = coming is not None and (room is None or coming <= room)
        return cls(receive, lender_of(scope, receive) if is_bounded else None)

    def lend_socket(self) -> ContentSocket | None:
        """Where a thread may read what is to come."""
        return None if self.lender is None else self.lender.lend_socket()

    def take_back(self, lent: ContentSocket) -> None:
        """Go on by receive() behind what was read."""
        if self.lender is not None:
            self.lender.take_back(lent)


@dataclass(frozen=True, slots=True)
class _Step:
    """What is to be appended, and where what follows may be read at once."""

    pieces: list[bytes]
    lent: ContentSocket | None = None


async def receive_into(
    upload: Upload, source: Source, limit: int | None, checksum: Checksum | None
) -> Ending:
    """Append the content to the upload; what has come is on the disk when this returns.

    limit: the most bytes that the upload may have.  With a checksum the content counts as a whole
    or not at all.  Raises StorageErrors; what had come stays.
    """
    if checksum is not None:
        return await _receive_verified(upload, source, limit, checksum)
    try:
        return await _receive(upload, source, limit)
    finally:
        await upload.run(upload.opened.sync)


async def _receive_verified(
    upload: Upload, source: Source, limit: int | None, checksum: Checksum
) -> Ending:
    start, ending = upload.offset, Ending.GONE
    hasher = hashlib.new(checksum.algorithm, usedforsecurity=False)
    await upload.run(upload.opened.distrust_what_comes)
    try:
        ending = await _receive(upload, source, limit, hasher.update)
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
    source: Source,
    limit: int | None,
    also: Callable[[Buffer], None] | None = None,
) -> Ending:
    room = None if limit is None else limit - upload.offset
    async with aclosing(_steps(upload, source)) as steps:
        async for step in steps:
            if isinstance(step, Ending):
                return step
            if room is not None:
                room -= sum(map(len, step.pieces))
                if room < 0:
                    return Ending.TOO_LONG
            if step.lent is None:
                await upload.append(step.pieces, also)
            else:
                # The request has no more than there is room for: see Source.
                await upload.append_on(step.pieces, step.lent.fill, also)
                room = None if limit is None else limit - upload.offset
    return Ending.COMPLETE


async def _steps(upload: Upload, source: Source) -> AsyncGenerator[_Step | Ending, None]:
    """The content in steps of about 1 MiB; an Ending at last where it did not come whole."""
    pieces: list[bytes] = []
    Underway.count += 1
    receiving = asyncio.ensure_future(source.receive())
    try:
        while True:
            message = await _next(receiving, upload)
            if message is None or message["type"] != "http.request":
                yield _Step(pieces)
                yield Ending.GONE if message is not None else Ending.WANTED
                return
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                yield _Step(pieces)
                return
            is_due = sum(map(len, pieces)) >= Underway.piece_bytes()
            if is_due and (lent := source.lend_socket()) is not None:
                with lent:
                    yield _Step(pieces, lent)
                source.take_back(lent)
                is_due, pieces = False, []
            # While these are written the next are on their way.
            receiving = asyncio.ensure_future(source.receive())
            if is_due:
                yield _Step(pieces)
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
