"""Joins the parts: the files of a storage at every address, the service's own pages under /-/.

Files go straight to their plain ASGI application.  A FastAPI route would cost three times the
request rate of small ranges (5,700 instead of 18,000 in a second, measured when this was begun),
so FastAPI serves only what lies under /-/.
"""

import asyncio
import logging
import os
import secrets
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fileserve.access.asking import asked_by, asked_in, path_below
from fileserve.access.gate import Gate
from fileserve.access.keys import Purpose, signing_key
from fileserve.access.known_keys import KnownKeys
from fileserve.access.link_door import LinkDoor, is_link_path
from fileserve.access.visit import note_visit
from fileserve.delivery.direct import Delivery
from fileserve.delivery.request_heads import RequestHead
from fileserve.operations.background_sums import background_sums
from fileserve.operations.catalog_desk import CatalogDesk, Presence
from fileserve.operations.following import FollowedAnswer, Following
from fileserve.operations.logs import log_access, logging_through_thread
from fileserve.operations.transfers import Transfer, TransferRegistry
from fileserve.problems import Problem, problem, problem_response
from fileserve.settings import Settings, SettingsError
from fileserve.site.cors import with_cors
from fileserve.site.files import NOT_HERE, FileSite
from fileserve.site.service_pages import add_service_pages
from fileserve.site.sign_in import LOGIN_PATH, LOGOUT_PATH, Refusal, SignIn
from fileserve.state import (
    catalog_place,
    made_state_folder,
    needs_catalog,
    open_catalog,
    state_folder,
)
from storage.errors import StorageError
from storage.local import LocalStorage
from storage.names import RESERVED_FIRST_SEGMENT

_log = logging.getLogger("fileserve.error")
if TYPE_CHECKING:
    from fileserve.site.changes import Changes

_UPLOADS_PREFIX = b"/-/uploads/"
SERVICE_PREFIX = "/-/"
# As late as a server may learn of a token that was revoked.
_SESSION_KEY_SECONDS = 1.0


class Site(FastAPI):
    """The whole service as one ASGI application.

    `state.transfers` are the running transfers, `state.desk` is the way to the catalog; whoever
    stops the service sets `state.is_draining`, so that load balancers send new clients elsewhere.
    """

    def __init__(self, settings: Settings, storage: LocalStorage) -> None:
        super().__init__(
            title="fileserve",
            lifespan=_lifespan,
            # Its pages load scripts from a foreign host, and there is no API to describe.
            openapi_url=None,
            redirect_slashes=False,
            exception_handlers={HTTPException: _answer_http_exception},
        )
        self.state.settings = settings
        self.state.storage = storage
        self.state.is_draining = False
        self.state.desk = _open_desk(settings)
        self.files = FileSite(settings, storage, self.state.desk)
        self.state.transfers = TransferRegistry()
        # None: nobody changes anything, and nothing is imported for it.
        self.changes = _changes_for(settings, storage, self.state.desk)
        # Until the one in the state folder is read: sessions by it end with this process.
        self.session_key = secrets.token_bytes(32)
        self.gate = self._gate_for(settings)
        self._door = LinkDoor(KnownKeys(_place_of_keys(settings), Purpose.LINK), self.state.desk)
        log = log_access if settings.access_log else None
        self._follow = Following(self.state.transfers, log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send each request to its application, and follow it to its end."""
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        transfer = Transfer.of_scope(scope, send)
        self._follow.begin(transfer)
        error: BaseException | None = None
        try:
            if is_link_path(path_below(scope)):
                await self._door.answer(self._app_behind, scope, receive, transfer)
            else:
                await self._app_for(scope)(scope, receive, transfer.send)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._follow.end(transfer, error)

    def _app_for(self, scope: Scope) -> ASGIApp:
        """Who answers: nobody comes past the gate, and what was found there goes with the scope."""
        if self.gate is not None:
            asked = asked_in(scope)
            verdict = self.gate.judge(asked)
            if isinstance(verdict, Problem):
                return Refusal(self.state.settings, verdict)
            note_visit(scope, verdict, partial(self.gate.may_read_at_once, asked))
        return self._app_behind(scope)

    def _app_behind(self, scope: Scope) -> ASGIApp:
        """Whose address it is, for whoever may come to it."""
        if _is_own_page(scope):
            is_upload = (path_below(scope) + b"/").startswith(_UPLOADS_PREFIX)
            if self.changes is None or not is_upload:
                return super().__call__
            return with_cors(self.changes.at_uploads, self.state.settings)
        if self.changes is not None and scope["method"] in self.changes.methods:
            return with_cors(self.changes, self.state.settings)
        return self.files

    def _gate_for(self, settings: Settings) -> Gate | None:
        """The gate; None where everybody may read and nobody writes, so that it costs nothing."""
        if not (settings.private or settings.writable):
            return None
        desk: CatalogDesk = self.state.desk
        return Gate(settings, lambda: desk.tokens, lambda: self.session_key, self._note_use)

    def _note_use(self, token_name: str, now: int) -> None:
        desk: CatalogDesk = self.state.desk
        desk.submit(lambda catalog: catalog.note_token_use(token_name, now))

    def answer_at_once(self, request: RequestHead, client: str) -> Delivery | None:
        """The answer to a plain request for a file, without ASGI (see delivery.direct)."""
        if self.gate is not None and not self.gate.may_read_at_once(asked_by(request, client)):
            return None
        answer = self.files.plan_at_once(request)
        if answer is None:
            return None
        plan, blob = answer
        return FollowedAnswer(plan, blob, request, client, self._follow)


def _is_own_page(scope: Scope) -> bool:
    # As it came: "/-%2Fhealth" is not the page that a proxy may have forbidden.
    path = path_below(scope)
    return path.startswith(SERVICE_PREFIX.encode()) or path == b"/-"


def create_app(settings: Settings, storage: LocalStorage) -> Site:
    """The service for storage.

    Raises SettingsError when the root holds a folder `-`: nobody could ever reach it.
    """
    _refuse_reserved_folder(storage)
    site = Site(settings, storage)
    add_service_pages(site)
    if site.gate is not None:
        sign_in = SignIn(settings, site.gate)
        # One route: a 405 has to tell all the methods of an address in Allow.
        site.add_api_route(LOGIN_PATH, sign_in.answer, methods=["GET", "HEAD", "POST"])
        site.add_api_route(LOGOUT_PATH, sign_in.leave, methods=["POST"])
    return site


def _changes_for(settings: Settings, storage: LocalStorage, desk: CatalogDesk) -> "Changes | None":
    if not settings.writable:
        return None
    from fileserve.site.changes import Changes  # noqa: PLC0415 - read-only serving needs none of it

    return Changes(settings, storage, desk)


def _open_desk(settings: Settings) -> CatalogDesk:
    """The catalog's; raises SettingsError where one is needed and has no place."""
    presence = Presence.MADE if needs_catalog(settings) else Presence.LOOKED_FOR
    try:
        return CatalogDesk(catalog_place(settings), presence)
    except SettingsError:
        if presence is Presence.MADE:
            raise
        return CatalogDesk(None, presence)


def _place_of_keys(settings: Settings) -> Path | None:
    """Where the keys of links are, if there are any."""
    try:
        return state_folder(settings)
    except SettingsError:
        return None


@asynccontextmanager
async def _lifespan(site: Site) -> AsyncIterator[None]:
    """What a process needs while it serves; begins after the fork of a worker."""
    settings: Settings = site.state.settings
    storage: LocalStorage = site.state.storage
    desk: CatalogDesk = site.state.desk
    with logging_through_thread(settings.log_format):
        await storage.start()
        try:
            await desk.start()
            if site.changes is not None:
                site.changes.start()
            async with (
                _session_key_followed(site),
                background_sums(settings, partial(open_catalog, settings)),
            ):
                yield
        finally:
            if site.changes is not None:
                await site.changes.stop()
            await desk.close()
            await storage.close()


@asynccontextmanager
async def _session_key_followed(site: Site) -> AsyncIterator[None]:
    """Logins are judged by the newest key, also when the admin makes one to end them all."""
    if site.gate is None:
        yield
        return
    site.session_key = await asyncio.to_thread(_kept_session_key, site)
    known = KnownKeys(_place_of_keys(site.state.settings), Purpose.SESSION)

    async def follow() -> None:
        while True:
            await asyncio.sleep(_SESSION_KEY_SECONDS)
            if keys := await known.current():
                site.session_key = [*keys.values()][-1]

    following = asyncio.create_task(follow())
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait({following})


def _kept_session_key(site: Site) -> bytes:
    """The key that all workers, and the next server, know, too; else the one of this process."""
    try:
        return signing_key(made_state_folder(site.state.settings), Purpose.SESSION).secret
    except (StorageError, SettingsError, OSError) as error:
        _log.warning("logins will not outlive this process: %s", error)
        return site.session_key


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals, 404 and 405, in the form of all our refusals."""
    if not isinstance(error, HTTPException):
        raise error
    details = {404: "There is nothing at this address.", 405: NOT_HERE}
    fields = [
        (key.lower().encode(), value.encode()) for key, value in (error.headers or {}).items()
    ]
    detail = details.get(error.status_code, error.detail)
    return problem_response(request, problem(error.status_code, detail, *fields))


def _refuse_reserved_folder(storage: LocalStorage) -> None:
    path = os.path.join(storage.root, RESERVED_FIRST_SEGMENT)
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError:
        return
    if is_folder:
        raise SettingsError(
            f"root {os.fsdecode(storage.root)!r} holds a folder named '-', but addresses under "
            "/-/ are the service's own; rename that folder."
        )
