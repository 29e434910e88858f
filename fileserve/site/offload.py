"""Lets the server in front send a file's bytes: an answer without content that names the file.

fileserve decides who may read what, and that it would send this file at all; the server in front
opens the file, judges conditions and ranges, and sends.  What tells a file's state, like the ETag,
is left to it, too: headers and bytes of one response come from one open descriptor, and that is
not ours here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Self
from urllib.parse import quote

from fileserve.access.links import Link
from fileserve.delivery.body import EMPTY
from fileserve.delivery.plan import Field, Plan
from storage.blob import Blob
from storage.places import place_beneath

# What the server in front judges by the state of the file that it opens itself.
_CONDITIONS = frozenset(
    {
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
        b"range",
    }
)
# What is true of the descriptor that is open here.
_OF_OUR_DESCRIPTOR = frozenset(
    {b"content-length", b"accept-ranges", b"etag", b"last-modified", b"repr-digest"}
)
_NO_CONTENT: Field = (b"content-length", b"0")
_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")


class Manner(Enum):
    """How the server in front is told; the values are those of the setting."""

    X_ACCEL = "x-accel"
    X_SENDFILE = "x-sendfile"


@dataclass(frozen=True, slots=True)
class Offload:
    """Where the server in front finds the files.

    prefix: of the location or folder that is our root for it, escaped, without a slash at the
    end.  root: the real path of our root when the service started.
    """

    manner: Manner
    prefix: str
    root: bytes

    @classmethod
    def of_setting(cls, text: str | None, root: bytes) -> Self | None:
        """What `offload` says, like `x-accel /files`; None where nothing is offloaded."""
        if text is None:
            return None
        manner, _, prefix = text.partition(" ")
        return cls(Manner(manner), quote(prefix.rstrip("/"), safe="/"), root)

    def instead_of(self, plan: Plan, blob: Blob) -> Plan | None:
        """The answer that has blob sent in place of plan, which is a whole 200.

        None where we send it ourselves: what lies on a network mount, which might stop a worker
        of the other server, and what has no path that leads the other server to it.
        """
        if not blob.zero_copy:
            return None
        place = place_beneath(blob.fileno(), self.root)
        if place is None or not self._is_readable(place):
            return None
        kept = (field for field in plan.fields if field[0] not in _OF_OUR_DESCRIPTOR)
        return Plan(plan.status, (_NO_CONTENT, self._redirection(place)), tuple(kept), EMPTY)

    def _redirection(self, place: bytes) -> Field:
        """Both kinds decode escapes once: nginx, lighttpd, and Apache's mod_xsendfile."""
        name = b"x-accel-redirect" if self.manner is Manner.X_ACCEL else b"x-sendfile"
        return (name, f"{self.prefix}/{quote(place, safe='/')}".encode("ascii"))

    def _is_readable(self, place: bytes) -> bool:
        """Whether the other server takes such a path: lighttpd wants UTF-8 without controls."""
        if self.manner is Manner.X_ACCEL:
            return True
        try:
            place.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return _CONTROLS.search(place) is None


def is_for_the_front(link: Link | None) -> bool:
    """Whether a visit by link may be sent by the server in front.

    Not where deliveries are counted or paced: it does not tell how far it got.
    """
    return link is None or (link.downloads is None and link.rate is None)


def without_conditions(headers: Iterable[Field]) -> list[Field]:
    """The request's fields without those that the server in front judges."""
    return [field for field in headers if field[0] not in _CONDITIONS]
