"""Joins uploads of parts into one file; what a kill left half done, the next attempt finishes.

Of a thousand parts two are open at a time: the first one to the end, whose lock lets one request
for the same file go on, and the one that is looked at, copied or dropped.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

from storage.errors import Busy, NotFound, StorageError
from storage.incoming import Arrival
from storage.upload_growing import Upload
from storage.upload_sessions import Kind, Session
from storage.uploads import ResumableUploads


class NotWhole(StorageError):  # noqa: N818 - named as those in storage.errors
    """A part is not complete, or no part of this owner's."""


async def join(
    uploads: ResumableUploads, final: Session, require_length: Callable[[int], None]
) -> tuple[Session, Arrival | None]:
    """The session of the file that is made of final.part_ids, and the file where it is new.

    require_length: raises for a file that would be too long.

    None for the file: an earlier attempt, whose answer was lost, has made it.  Raises NotFound,
    NotWhole, Busy and what publishing raises; then the parts are as they were.
    """
    first = await uploads.resume(final.part_ids[0])
    try:
        return await _Joining(uploads, final, first).run(require_length)
    finally:
        if isinstance(first, Upload):
            await uploads.release(first)


@dataclass(frozen=True, slots=True)
class _Part:
    """What a part was when it was looked at; length None: it is not whole, or is used up."""

    session: Session
    length: int | None


class _Joining:
    """One attempt; first: the first part, which stays open."""

    def __init__(self, uploads: ResumableUploads, final: Session, first: Upload | Session) -> None:
        self._uploads = uploads
        self._final = final
        self._first = first
        self._ids = tuple(dict.fromkeys(final.part_ids))

    async def run(self, require_length: Callable[[int], None]) -> tuple[Session, Arrival | None]:
        parts = {part_id: await self._look(part_id) for part_id in self._ids}
        earlier = await self._earlier([part.session for part in parts.values()])
        if earlier is not None:
            await self._drop()
            return earlier, None
        lengths = {id_: _fit_length(part, self._final.owner) for id_, part in parts.items()}
        length = sum(lengths[part_id] for part_id in self._final.part_ids)
        require_length(length)
        published = await self._joined(length, lengths)
        await self._drop()
        return published

    @asynccontextmanager
    async def _opened(self, part_id: str) -> AsyncGenerator[Upload | Session, None]:
        if part_id == self._ids[0]:
            yield self._first
            return
        found = await self._uploads.resume(part_id)
        try:
            yield found
        finally:
            if isinstance(found, Upload):
                await self._uploads.release(found)

    async def _look(self, part_id: str) -> _Part:
        async with self._opened(part_id) as found:
            if isinstance(found, Session):
                return _Part(found, None)
            return _Part(found.session, found.offset if found.is_whole else None)

    async def _joined(self, length: int, lengths: dict[str, int]) -> tuple[Session, Arrival]:
        whole = await self._uploads.begin(replace(self._final, length=length))
        try:
            await whole.take_room(length)
            for part_id in self._final.part_ids:
                await self._copy(part_id, lengths[part_id], whole)
            published = await self._uploads.publish(whole)
        except BaseException:
            await self._uploads.remove(whole)
            raise
        finally:
            await self._uploads.release(whole)
        return whole.session, published

    async def _copy(self, part_id: str, length: int, whole: Upload) -> None:
        async with self._opened(part_id) as part:
            if isinstance(part, Session) or part.offset != length:
                raise NotWhole(f"part {part_id} is not what it was")
            # Before any byte: whoever finds both after a kill knows what they have in common.
            await part.run(partial(part.opened.join_into, whole.session.upload_id))
            copied = 0
            while copied < length:
                copied += await whole.run(partial(whole.opened.copy_from, part.opened, copied))

    async def _drop(self) -> None:
        """Give the space of the parts back; one that somebody looks at just now expires later."""
        for part_id in self._ids:
            with suppress(Busy, NotFound):
                async with self._opened(part_id) as part:
                    if isinstance(part, Upload):
                        await part.run(part.opened.drop)

    async def _earlier(self, parts: Sequence[Session]) -> Session | None:
        """The upload that all these parts went into before as asked, where it is a file now.

        What earlier attempts, which a kill has ended, left of it is removed: its bytes are all
        in the parts.
        """
        targets = {part.joined_into for part in parts}
        for upload_id in filter(None, targets):
            with suppress(NotFound):
                found = await self._uploads.resume(upload_id)
                if isinstance(found, Upload):
                    await self._remove_if_same(found)
                elif len(targets) == 1 and _is_same(found, self._final):
                    return found
        return None

    async def _remove_if_same(self, earlier: Upload) -> None:
        try:
            if _is_same(earlier.session, self._final):
                await self._uploads.remove(earlier)
        finally:
            await self._uploads.release(earlier)


def _is_same(earlier: Session, final: Session) -> bool:
    asked = (final.owner, final.target, final.part_ids)
    return (earlier.owner, earlier.target, earlier.part_ids) == asked


def _fit_length(part: _Part, owner: str) -> int:
    """The length of a part; raises NotFound and NotWhole where it is none of this owner's."""
    if part.session.kind is not Kind.PART or part.session.owner != owner:
        raise NotFound(f"there is no part {part.session.upload_id}")
    if part.length is None:
        raise NotWhole(f"part {part.session.upload_id} is not whole")
    return part.length
