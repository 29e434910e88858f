"""Answers a request for subtitles in the form that browsers read: `/FILE.srt?vtt`."""

import asyncio
from collections.abc import Sequence
from itertools import islice

from starlette.types import Receive, Scope, Send

from fileserve.problems import Field, problem
from fileserve.site.characters import decode_text
from fileserve.site.subtitles import webvtt_lines
from fileserve.site.unvalidated import is_settled, refuse
from storage.local import LocalStorage
from storage.names import Name

# A film of three hours has some 200 KiB of them.
MAX_SUBTITLE_BYTES = 2 << 20
# About 1 ms of work, then the others have their turn.
_LINES_PER_PIECE = 500

_FIELDS: tuple[Field, ...] = ((b"content-type", b"text/vtt; charset=utf-8"),)


async def send_webvtt(  # noqa: PLR0917 - three of them are ASGI's own
    scope: Scope,
    receive: Receive,
    send: Send,
    storage: LocalStorage,
    name: Name,
    fields: Sequence[Field] = (),
) -> None:
    """Answer GET or HEAD of the SubRip file name as WebVTT, fields (control) among the others.

    What is no SubRip file, or far too large for one, is a problem response.  Raises StorageError
    before anything was sent.
    """
    if not name.last.lower().endswith(b".srt"):
        refusal = problem(400, "Only subtitles in an .srt file can be had as WebVTT.")
        await refuse(scope, send, refusal, fields)
        return
    blob = await storage.open(name)
    try:
        is_too_large = blob.complete_length > MAX_SUBTITLE_BYTES
        content = b"" if is_too_large else await blob.read(0, MAX_SUBTITLE_BYTES)
    finally:
        await blob.close()
    if is_too_large:
        refusal = problem(400, "This file is too large to be subtitles.")
        await refuse(scope, send, refusal, fields)
        return
    if await is_settled(scope, send, fields):
        return
    if await is_settled(scope, send, fields):
        return
    await send({"type": "http.response.start", "status": 200, "headers": [*_FIELDS, *fields]})
    if scope["method"] != "HEAD":
        await _send_lines(send, decode_text(content))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_lines(send: Send, text: str) -> None:
    lines = webvtt_lines(text.splitlines())
    while piece := "".join(f"{line}\n" for line in islice(lines, _LINES_PER_PIECE)):
        await send({"type": "http.response.body", "body": piece.encode("utf-8"), "more_body": True})
        await asyncio.sleep(0)
