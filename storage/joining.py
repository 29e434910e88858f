"""Joins uploads of parts into one file; what a kill left half done, the next attempt finishes."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from storage.errors import NotFound, StorageError
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
    async with AsyncExitStack() as stack:
        parts: dict[str, Upload | Session] = {}
        for part_id in dict.fromkeys(final.part_ids):
            parts[part_id] = found = await uploads.resume(part_id)
            if isinstance(found, Upload):
                stack.push_async_callback(uploads.release, found)
        earlier = await _earlier(uploads, final, [_session(part) for part in parts.values()])
        open_parts = [part for part in parts.values() if isinstance(part, Upload)]
        if earlier is not None:
            await _drop(open_parts)
            return earlier, None
        for part in parts.values():
            _refuse_unfit(part, final.owner)
        ordered = [part for id_ in final.part_ids if isinstance(part := parts[id_], Upload)]
        require_length(sum(part.offset for part in ordered))
        published = await _joined(uploads, final, ordered)
        await _drop(open_parts)
        return published


async def _joined(
    uploads: ResumableUploads, final: Session, ordered: Sequence[Upload]
) -> tuple[Session, Arrival]:
    length = sum(part.offset for part in ordered)
    whole = await uploads.begin(replace(final, length=length))
    try:
        await whole.take_room(length)
        for part in ordered:
            await part.run(partial(part.opened.join_into, whole.session.upload_id))
        for part in ordered:
            await _copy(part, whole)
        published = await uploads.publish(whole)
    except BaseException:
        await uploads.remove(whole)
        raise
    finally:
        await uploads.release(whole)
    return whole.session, published


async def _copy(part: Upload, whole: Upload) -> None:
    copied = 0
    while copied < part.offset:
        copied += await whole.run(partial(whole.opened.copy_from, part.opened, copied))


async def _drop(parts: Sequence[Upload]) -> None:
    for part in parts:
        await part.run(part.opened.drop)


async def _earlier(
    uploads: ResumableUploads, final: Session, parts: Sequence[Session]
) -> Session | None:
    """The upload that all these parts went into before as final asks, where it is a file now."""
    targets = {part.joined_into for part in parts}
    if len(targets) != 1 or (upload_id := targets.pop()) is None:
        return None
    try:
        found = await uploads.resume(upload_id)
    except NotFound:
        return None
    if isinstance(found, Session):
        return found if _is_same(found, final) else None
    if _is_same(found.session, final):
        # A kill came before it was published: its bytes are all in the parts.
        await uploads.remove(found)
    await uploads.release(found)
    return None


def _is_same(earlier: Session, final: Session) -> bool:
    asked = (final.owner, final.target, final.part_ids)
    return (earlier.owner, earlier.target, earlier.part_ids) == asked


def _refuse_unfit(part: Upload | Session, owner: str) -> None:
    session = _session(part)
    if session.kind is not Kind.PART or session.owner != owner:
        raise NotFound(f"there is no part {session.upload_id}")
    if isinstance(part, Session) or not part.is_whole:
        raise NotWhole(f"part {session.upload_id} is not whole")


def _session(part: Upload | Session) -> Session:
    return part if isinstance(part, Session) else part.session
