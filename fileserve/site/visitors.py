"""What a page tells its visitor: who they are, whether they may write, where to log in."""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.types import Scope

from fileserve.access.links import Link
from fileserve.access.visit import visit_of
from fileserve.settings import Settings
from storage.names import Name

_KIND = "token "


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who looks at a page of ours.

    who: the name of their token; note: a sentence about the link by which they came; may_write:
    whether the shown folder takes uploads from them.  The urls are empty where nothing is offered.
    hidden_depth: so many folders from the root down are not to be named, nor linked to.
    """

    who: str = ""
    note: str = ""
    may_write: bool = False
    login_url: str = ""
    logout_url: str = ""
    hidden_depth: int = 0


STRANGER = Visitor()


def visitor_of(scope: Scope, name: Name, settings: Settings) -> Visitor:
    """The visitor of the page at name, a folder or a file."""
    visit = visit_of(scope)
    if visit.link is not None:
        return Visitor(note=_link_words(visit.link), hidden_depth=len(visit.link.segments))
    if not (settings.private or settings.writable):
        return STRANGER
    root_path = scope.get("root_path", "")
    who = visit.who.removeprefix(_KIND) if visit.who.startswith(_KIND) else ""
    here = quote(f"{root_path}{name.url_path}", safe="/")
    return Visitor(
        who=who,
        may_write=settings.writable and visit.may_write(name),
        login_url=f"{root_path}/-/login?next={quote(here, safe='')}",
        logout_url=f"{root_path}/-/logout",
        hidden_depth=len(visit.reads or ()),
    )


def _link_words(link: Link) -> str:
    if link.expires_at is None:
        return "Shared with you by a link"
    until = datetime.fromtimestamp(link.expires_at, UTC)
    return f"Shared with you by a link, until {until:%Y-%m-%d %H:%M} UTC"
