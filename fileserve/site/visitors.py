"""What a page tells its visitor: who they are, whether they may write, where to log in."""

from dataclasses import dataclass
from urllib.parse import quote

from starlette.types import Scope

from fileserve.access.links import Link
from fileserve.access.visit import visit_of
from fileserve.problems import Field
from fileserve.settings import Settings
from fileserve.site.listing_entries import rfc3339
from fileserve.site.sign_in import LOGIN_PATH, LOGOUT_PATH, address_of
from storage.names import Name

_KIND = "token "


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who looks at a page of ours.

    who: the name of their token; note: a sentence about the link by which they came; may_write:
    whether the shown folder takes uploads from them.  The urls are empty where nothing is offered.
    hidden_depth: so many folders from the root down are not to be named, nor linked to.
    needs_token: other programs of theirs have to show the token to get the same.
    """

    who: str = ""
    note: str = ""
    may_write: bool = False
    login_url: str = ""
    logout_url: str = ""
    hidden_depth: int = 0
    needs_token: bool = False


STRANGER = Visitor()


def visitor_of(scope: Scope, name: Name, settings: Settings) -> Visitor:
    """The visitor of the page at name, a folder or a file."""
    visit = visit_of(scope)
    if visit.link is not None:
        return Visitor(note=_link_words(visit.link), hidden_depth=len(visit.link.segments))
    if not _knows_visitors(settings):
        return STRANGER
    root_path = scope.get("root_path", "")
    is_known = visit.who.startswith(_KIND)
    return Visitor(
        who=visit.who.removeprefix(_KIND) if is_known else "",
        may_write=settings.writable and visit.may_write(name),
        login_url=f"{root_path}{LOGIN_PATH}?next={quote(address_of(scope), safe='/')}",
        logout_url=f"{root_path}{LOGOUT_PATH}" if is_known and _has_session(scope) else "",
        hidden_depth=len(visit.reads or ()),
        needs_token=settings.private,
    )


def page_fields(settings: Settings) -> tuple[Field, ...]:
    """The fields of a page that depends on its visitor: no cache may show it to another one."""
    if not _knows_visitors(settings):
        return ()
    return ((b"cache-control", b"private, no-cache"), (b"vary", b"Cookie, Authorization"))


def _knows_visitors(settings: Settings) -> bool:
    return settings.private or settings.writable


def _has_session(scope: Scope) -> bool:
    """Whether there is something to log out of: a token in each request cannot be taken away."""
    cookies = (value for key, value in scope["headers"] if key == b"cookie")
    return any(b"fileserve=" in value for value in cookies)


def _link_words(link: Link) -> str:
    shared = "Shared with you by a link"
    # None also for a year that no calendar has: other programs make links, too.
    until = None if link.expires_at is None else rfc3339(link.expires_at * 1_000_000_000)
    return f"{shared}, until {until[:10]} {until[11:16]} UTC" if until else shared
