"""What a listing consists of, piece by piece: a folder, all below it, or what is found there.

A search ends after 10 seconds or 10,000 results, whatever comes first, and says so.
"""

import asyncio
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeAlias

from fileserve.site.listing_entries import Notice, NoticeKind, reachable
from fileserve.site.listing_query import ListingQuery
from storage.descending import Part
from storage.errors import AccessDenied, StorageError
from storage.folders import Wanted
from storage.local import LocalStorage
from storage.names import Name
from storage.ordering import Order

Piece: TypeAlias = Part | Notice

_DENIED = "The server may not read this folder."
_UNAVAILABLE = "The storage behind this folder does not answer now."


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """When a search ends, if it was not through before."""

    seconds: float = 10.0
    results: int = 10_000


def pieces_of(
    storage: LocalStorage, folder: Name, asked: ListingQuery, limits: SearchLimits
) -> AsyncGenerator[Piece, None]:
    """The entries asked for, without those that no URL can name.

    An empty part says that the folder can be read, and that the next one may take its time.
    Raises the StorageErrors of the folder itself.
    """
    order = Order(asked.shown.sort, asked.shown.order)
    if asked.is_flat:
        return _told(_alone(storage, folder, order))
    if asked.text:
        found = storage.descend(folder, order, names_with(asked.text))
        return _limited(_told(found), folder, limits)
    return _told(storage.descend(folder, order))


def names_with(text: str) -> Wanted:
    """Whether a name contains text: without regard to case, and to how accents are written."""
    wanted = _caseless(text)
    return lambda name: wanted in _caseless(name)


def _caseless(text: str) -> str:
    if text.isascii():
        return text.lower()
    # The Unicode Standard, section 3.13, D145: folding may undo a normalization.
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    return unicodedata.normalize("NFC", folded)


async def _alone(storage: LocalStorage, folder: Name, order: Order) -> AsyncGenerator[Part, None]:
    async with aclosing(storage.list(folder, order)) as batches:
        async for entries in batches:
            yield Part(folder, entries)


async def _told(parts: AsyncGenerator[Part, None]) -> AsyncGenerator[Piece, None]:
    """The parts, and a notice for each in trouble."""
    async with aclosing(parts):
        async for part in parts:
            if part.trouble is not None:
                yield Notice(NoticeKind.UNREADABLE, part.folder, _words(part.trouble))
            else:
                yield Part(part.folder, reachable(part.folder, part.entries))


async def _limited(
    pieces: AsyncGenerator[Piece, None], top: Name, limits: SearchLimits
) -> AsyncGenerator[Piece, None]:
    """The pieces until a limit is reached, then a notice of that."""
    ends_at = asyncio.get_running_loop().time() + limits.seconds
    room = limits.results
    async with aclosing(pieces):
        while True:
            try:
                async with asyncio.timeout_at(ends_at):
                    piece = await anext(pieces, None)
            except TimeoutError:
                yield _cut_short(top, f"after {limits.seconds:g} seconds")
                return
            if piece is None:
                return
            if isinstance(piece, Part) and len(piece.entries) > room:
                yield Part(piece.folder, piece.entries[:room])
                yield _cut_short(top, f"after {limits.results:,} results")
                return
            room -= len(piece.entries) if isinstance(piece, Part) else 0
            yield piece


def _cut_short(top: Name, when: str) -> Notice:
    detail = f"The search was stopped {when}; there may be more."
    return Notice(NoticeKind.CUT_SHORT, top, detail)


def _words(trouble: StorageError) -> str:
    # Its own sentence is for the log: it may name things on the disk.
    return _DENIED if isinstance(trouble, AccessDenied) else _UNAVAILABLE
