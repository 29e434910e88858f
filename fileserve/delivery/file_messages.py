"""The two messages by which an ASGI application has a file sent: by its descriptor or its path."""

import os
from contextlib import aclosing

from starlette.types import Message

from fileserve.delivery.body import Slice, body_of
from fileserve.delivery.chunked import chunks
from fileserve.delivery.response_head import Framing
from fileserve.delivery.response_stream import ResponseStream
from storage.paths import open_path


async def send_from_file(stream: ResponseStream, message: Message) -> None:
    """asgiref's zero-copy send: a file, and optionally offset and count."""
    descriptor = message["file"].fileno()
    offset, count = message.get("offset"), message.get("count")
    if offset is None:
        offset = os.lseek(descriptor, 0, os.SEEK_CUR)
    if count is None:
        count = max(os.fstat(descriptor).st_size - offset, 0)
    await stream.send_slice(descriptor, offset, count)


async def send_path(stream: ResponseStream, path: str) -> None:
    """Send a whole file by its path; the one message that makes the server open a file."""
    if stream.head.framing is Framing.NO_CONTENT:
        return
    file = await open_path(path)
    try:
        # It may have grown or shrunk since the application looked: Content-Length holds.
        has_length = stream.head.framing is Framing.LENGTH
        count = stream.remaining if has_length else file.complete_length
        if file.zero_copy:
            await stream.send_slice(file.fileno(), 0, count)
        else:
            async with aclosing(chunks(body_of([Slice(file, 0, count)]))) as pieces:
                async for piece in pieces:
                    await stream.send_bytes(piece)
    finally:
        await file.close()
