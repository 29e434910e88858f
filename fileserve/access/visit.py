"""What the gate found out about a request: who asks, and what they may."""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, cast

from starlette.types import Message, Send

from fileserve.access.links import Link
from fileserve.delivery.outcomes import EndCause, TransferCut
from storage.names import Name

_SCOPE_KEY = "fileserve.visit"
_HOLDS_KEY = "fileserve.visit.holds"
Segments = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Visit:
    """Rights that were proven before anything on the disk was touched.

    who: for logs and audit, like `token backup` or `link 4f2a`.
    reads, writes: everything at and below these segments; None is nothing, () is the whole root.
    link: the signed link by which somebody came, with its terms.
    """

    who: str
    reads: Segments | None
    writes: Segments | None = None
    is_admin: bool = False
    link: Link | None = None

    def may_read(self, name: Name) -> bool:
        """Whether name, a file or a folder, may be read, and all below it."""
        return _covers(self.reads, name.segments)

    def may_write(self, name: Name) -> bool:
        """Whether name may be made, replaced, moved or removed, and all below it."""
        return _covers(self.writes, name.segments)


ANYBODY = Visit("anybody", ())


def visit_of(scope: MutableMapping[str, Any]) -> Visit:
    """The visit that this request is part of; anybody's where no gate has judged."""
    return cast(Visit, scope.get(_SCOPE_KEY, ANYBODY))


def _always() -> bool:
    return True


def note_visit(
    scope: MutableMapping[str, Any], visit: Visit, holds: Callable[[], bool] = _always
) -> None:
    """Let everybody who answers this request know the visit.

    holds: whether its rights would be granted now, too.
    """
    scope[_SCOPE_KEY] = visit
    scope[_HOLDS_KEY] = holds


def while_it_holds(scope: MutableMapping[str, Any], send: Send) -> Send:
    """An ASGI send for answers without an end: raises TransferCut once the visit is over."""
    holds: Callable[[], bool] = scope.get(_HOLDS_KEY, _always)

    async def send_if_it_holds(message: Message) -> None:
        if not holds():
            raise TransferCut(EndCause.REVOKED)
        await send(message)

    return send_if_it_holds


def _covers(prefix: Segments | None, segments: Segments) -> bool:
    return prefix is not None and segments[: len(prefix)] == prefix
