"""The door that signed links open: `/-/s/TOKEN/PATH` becomes PATH, for whoever has the token.

The token goes into `root_path`, ASGI's own place for what stands before an application's paths,
so that all addresses that are made from it stay inside the link.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from fileserve.access.asking import READING, STATIC_PREFIX, asked_in, name_at
from fileserve.access.deliveries import Deliveries, LinkBusy, client_key
from fileserve.access.known_keys import KnownKeys
from fileserve.access.link_answer import LinkAnswer, LinkSpent, discreet, is_counted
from fileserve.access.links import LINKS_PREFIX, Link, genuine_link, parse_token
from fileserve.access.networks import plain_address
from fileserve.access.pacing import Budgets, paced
from fileserve.access.visit import Visit, note_visit
from fileserve.operations.catalog_desk import CatalogDesk
from fileserve.operations.transfers import Transfer
from fileserve.problems import Problem, problem, send_problem
from storage.catalog_records import LinkRecord

_PREFIX = LINKS_PREFIX.encode("ascii")

NOT_GENUINE = Problem(
    403,
    "This link is not valid",
    "It was cut off or changed on its way, or it was withdrawn. "
    "Please copy it again as a whole, or ask whoever sent it for a new one.",
)
EXPIRED = Problem(
    410, "This link has expired", "Please ask whoever sent it to you for a new one."
)  # fmt: skip
REVOKED = Problem(
    410, "This link was withdrawn", "Please ask whoever sent it to you for a new one."
)  # fmt: skip
SPENT = Problem(
    410,
    "This link has been used up",
    "It was good for a number of downloads, and all of them have been made. "
    "Please ask whoever sent it to you for a new one.",
)
BUSY = Problem(
    503,
    "Too many come by links at once",
    "The downloads of this link cannot be counted now. Please try again in a moment.",
    ((b"retry-after", b"2"),),
)
OTHER_PLACE = Problem(
    403,
    "This link is for somebody else",
    "It works from one network address only, and you come from another one.",
)
ONLYREADING = problem(405, "A link is for reading.", (b"allow", b"GET, HEAD, OPTIONS"))
_NOTHING = problem(404, "There is nothing at this address.")


@dataclass(frozen=True, slots=True)
class _Passage:
    """What is behind a link; link is None for the style sheets of its pages."""

    scope: Scope
    path: bytes
    link: Link | None


class LinkDoor:
    """Judges requests that come by a link, and follows what they get."""

    def __init__(self, keys: KnownKeys, desk: CatalogDesk) -> None:
        self._keys = keys
        self._desk = desk
        self._deliveries = Deliveries(desk)
        self._budgets = Budgets()

    async def answer(
        self,
        app_for: Callable[[Scope], ASGIApp],
        scope: Scope,
        receive: Receive,
        transfer: Transfer,
    ) -> None:
        """Answer a request for which is_link_path() holds; app_for says who has what is behind."""
        try:
            await self._let_in(app_for, scope, receive, transfer)
        except LinkBusy:
            await send_problem(scope, discreet(transfer.send), BUSY)

    async def _let_in(
        self,
        app_for: Callable[[Scope], ASGIApp],
        scope: Scope,
        receive: Receive,
        transfer: Transfer,
    ) -> None:
        passage = await self._judge(scope)
        send = discreet(transfer.send)
        if isinstance(passage, Problem):
            await send_problem(scope, send, passage)
        elif passage.link is None:
            await app_for(passage.scope)(passage.scope, receive, transfer.send)
        else:
            # Logs tell which link it was, and never the token.
            transfer.target = _PREFIX + passage.link.link_id.encode("ascii") + passage.path
            holds = partial(self._holds, passage.link, transfer.client)
            note_visit(passage.scope, visit_by_link(passage.link), holds)
            app = app_for(passage.scope)
            await self._follow(app, passage.link, passage.scope, receive, transfer)

    async def _follow(
        self, app: ASGIApp, link: Link, scope: Scope, receive: Receive, transfer: Transfer
    ) -> None:
        """Let app answer, in the pace and within the number of deliveries of the link."""
        client = client_key(transfer.client, _user_agent(scope))
        # What counts is judged where its bytes begin; the rest is for those who may have them.
        is_told = is_counted(scope) or scope["method"] == "OPTIONS"
        if not is_told and not await self._deliveries.is_open_to(link, client, time.time()):
            await send_problem(scope, discreet(transfer.send), SPENT)
            return
        answer = LinkAnswer(self._deliveries, link, client, scope, transfer)
        send: Send = answer.send
        if link.rate is not None:
            budget = self._budgets.budget(link.link_id, client, link.rate)
            send = paced(send, budget, lambda: transfer.is_left)
        try:
            await app(scope, receive, send)
        except LinkSpent:
            await send_problem(scope, discreet(transfer.send), SPENT)
        finally:
            answer.end()

    async def _judge(self, scope: Scope) -> _Passage | Problem:
        root_path = scope.get("root_path", "")
        text, slash, rest = asked_in(scope).raw_path[len(_PREFIX) :].partition(b"/")
        token, path = parse_token(text.decode("latin-1")), slash + rest
        if token is None:
            return NOT_GENUINE
        below = {**scope, "root_path": f"{root_path}{LINKS_PREFIX}{text.decode('ascii')}"}
        if path.startswith(STATIC_PREFIX):
            return _Passage(below, path, None)
        name = name_at(path)
        if name is None:
            return _NOTHING
        link = genuine_link(token, name.segments, await self._keys.current())
        if link is None:
            return NOT_GENUINE
        refusal = await self._refusal(link, scope)
        return refusal or _Passage(below, path, link)

    async def _refusal(self, link: Link, scope: Scope) -> Problem | None:
        """Why a genuine link does not hold now, or not for this request."""
        now, client = time.time(), scope.get("client")
        address = client[0] if client else ""
        refusal = refusal_of(link, self._desk.links.get(link.link_id), now, address)
        if refusal is not None:
            return refusal
        if scope["method"] not in READING:
            return ONLYREADING
        if link.is_bound_to_first and not await self._is_first(link, address, now):
            return OTHER_PLACE
        return None

    def _holds(self, link: Link, address: str) -> bool:
        record = self._desk.links.get(link.link_id)
        return refusal_of(link, record, time.time(), address) is None

    async def _is_first(self, link: Link, address: str, now: float) -> bool:
        try:
            packed = plain_address(address).packed
        except ValueError:
            return False
        return await self._deliveries.is_first_client(link, packed, now)


def is_link_path(raw_path: bytes) -> bool:
    """Whether a path, below root_path and still percent-encoded, is that of a link."""
    return raw_path.startswith(_PREFIX)


def visit_by_link(link: Link) -> Visit:
    """What a link allows: to read, nothing else."""
    return Visit(f"link {link.link_id}", reads=link.segments, link=link)


def refusal_of(link: Link, record: LinkRecord | None, now: float, address: str) -> Problem | None:
    """Why a genuine link does not hold; record is what the catalog has of it (pure)."""
    if record is not None and record.revoked_at is not None:
        return REVOKED
    if link.expires_at is not None and now >= link.expires_at:
        return EXPIRED
    if link.address is not None and not _is_same(link.address, address):
        return OTHER_PLACE
    return None


def _is_same(wanted: str, address: str) -> bool:
    try:
        return plain_address(wanted) == plain_address(address)
    except ValueError:  # a Unix socket has none
        return False


def _user_agent(scope: Scope) -> bytes:
    return next((value for key, value in scope["headers"] if key == b"user-agent"), b"")
