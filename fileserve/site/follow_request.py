"""What a request for `?follow` asks for: in which form, and from where in the file (pure)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from fileserve.http.accept import preferred
from fileserve.http.disposition import Disposition
from fileserve.http.query import first_values
from fileserve.problems import Problem, problem
from fileserve.site.server_sent_events import EVENT_STREAM, Position, parse_position

_NUMBER = re.compile("[0-9]{1,19}")


class FollowForm(Enum):
    """The bytes of the file, or its lines as Server-Sent Events."""

    BYTES = "bytes"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class FromOffset:
    """`from=N`: from the byte N on, as `tail -c +N+1` does; by default from the first one."""

    offset: int


@dataclass(frozen=True, slots=True)
class FromTail:
    """`tail=N`: the last N bytes first, as `tail -c N -f` does."""

    length: int


@dataclass(frozen=True, slots=True)
class FollowRequest:
    """A request for `?follow`; reached: where an earlier stream of events to this client ended."""

    form: FollowForm
    start: FromOffset | FromTail
    reached: Position | None
    disposition: Disposition


def parse_follow_request(
    headers: Iterable[tuple[bytes, bytes]], query_string: bytes, media_type: str
) -> FollowRequest | Problem:
    """What is asked for, of a file of media_type; a Problem for what means nothing.

    The field Last-Event-ID counts more than the parameter: a browser that connects again asks
    for the same URL.  One that is not ours is ignored, as if it were absent.
    """
    first = first_values(query_string)
    start = _parse_start(first)
    if start is None:
        return problem(400, "'from' or 'tail', not both, is a number of bytes.")
    fields = {key: value.decode("latin-1") for key, value in headers}
    wanted = preferred(fields.get(b"accept"), (media_type, EVENT_STREAM))
    form = FollowForm.EVENTS if wanted == EVENT_STREAM else FollowForm.BYTES
    reached = parse_position(fields.get(b"last-event-id", first.get("last-event-id", "")))
    return FollowRequest(
        form,
        start,
        reached if form is FollowForm.EVENTS else None,
        Disposition.ATTACHMENT if "download" in first else Disposition.INLINE,
    )


def start_offset(
    start: FromOffset | FromTail, reached: Position | None, size: int, inode: int
) -> int | None:
    """Where to begin in a file of size bytes; None when `from` lies behind its end.

    A position reached in another file, or in one that was truncated since, is void: the new
    content is sent from its first byte.
    """
    if reached is not None:
        return reached.offset if is_of(reached, size, inode) else 0
    if isinstance(start, FromTail):
        return max(size - start.length, 0)
    return start.offset if start.offset <= size else None


def is_of(reached: Position, size: int, inode: int) -> bool:
    """Whether the position lies in this file as it is now."""
    return reached.inode in (None, inode) and reached.offset <= size


def _parse_start(query: dict[str, str]) -> FromOffset | FromTail | None:
    texts = {key: query[key] for key in ("from", "tail") if key in query}
    if not texts:
        return FromOffset(0)
    ((key, text), *others) = texts.items()
    if others or not _NUMBER.fullmatch(text):
        return None
    return FromTail(int(text)) if key == "tail" else FromOffset(int(text))
