"""How people come in: the login page, the session it begins, and what a refusal looks like."""

import re
import time
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fileserve.access.asking import asked_in
from fileserve.access.gate import BASIC, BEARER, Gate
from fileserve.access.origins import Address, Line, line_of
from fileserve.access.sessions import SESSION_SECONDS, session_cookie, session_value
from fileserve.access.tokens import KnownToken
from fileserve.access.visit import Visit
from fileserve.http.accept import preferred
from fileserve.http.query import first_values
from fileserve.problems import Field, Problem, Way, problem, problem_response, send_problem
from fileserve.settings import Settings
from fileserve.site.cors import cors_fields
from fileserve.site.pages import PAGE_POLICY, template
from storage.errors import NameRefused
from storage.names import Name, parse_request_path

LOGIN_PATH = "/-/login"
LOGOUT_PATH = "/-/logout"
# A token has 46 characters, and nobody comes from an address longer than the longest target.
_MAX_FORM_BYTES = 32_768
# A path of this site: "//host" and "/\host" are other sites to a browser.
_is_path_here = re.compile(r"/(?![/\\])[\x21-\x7e]*").fullmatch
# HEAD has the fields of GET (RFC 9110 section 9.3.2).
_VISITING = ("GET", "HEAD")
_OFFERS = ("application/json", "text/html")
_PAGE_FIELDS: tuple[Field, ...] = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", PAGE_POLICY),
    (b"cache-control", b"no-store"),
    (b"vary", b"Accept"),
    (b"x-content-type-options", b"nosniff"),
    # Not no-referrer: then browsers hide from us that the form was ours (Origin: null).
    (b"referrer-policy", b"same-origin"),
)
_LOAD_AGAIN: Field = (b"refresh", b"0")


class Refusal:
    """The answer of the gate as an ASGI application; people get the login page where it helps."""

    def __init__(self, settings: Settings, refusal: Problem) -> None:
        self._settings = settings
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer without having looked at anything but the request."""
        refusal = self._refusal
        if refusal.status == HTTPStatus.UNAUTHORIZED and _wants_page(scope):
            response = login_page(scope, self._settings, address_of(scope), "")
            await response(scope, receive, send)
            return
        fields = [*refusal.fields, *cors_fields(self._settings, scope["method"], scope["headers"])]
        if refusal.status == HTTPStatus.FORBIDDEN and scope["method"] in _VISITING:
            refusal = replace(refusal, way=_other_login(scope))
        if _is_script(scope):
            # For Basic, browsers would open a window of their own in the midst of an upload.
            fields = [field for field in fields if field != BASIC]
        await send_problem(scope, send, replace(refusal, fields=tuple(fields)))


class SignIn:
    """The handlers of /-/login and /-/logout."""

    def __init__(self, settings: Settings, gate: Gate) -> None:
        self._settings = settings
        self._gate = gate

    async def answer(self, request: Request) -> Response:
        """Answer a request for /-/login."""
        return await (self.enter(request) if request.method == "POST" else self.show(request))

    async def show(self, request: Request) -> Response:
        """The login page on its own."""
        goal = request.query_params.get("next", "")
        return login_page(request.scope, self._settings, goal, "", HTTPStatus.OK)

    async def enter(self, request: Request) -> Response:
        """Exchange a token for a session, and go on to where somebody wanted to go."""
        asked = asked_in(request.scope)
        if not self._gate.is_own(asked):
            return problem_response(request, problem(403, "This came from a page of another site."))
        try:
            form = await _form_of(request)
        except ClientDisconnect:
            return problem_response(request, problem(400, "The form did not come as a whole."))
        if form is None:
            return problem_response(request, problem(413, "A login form is not that long."))
        goal = form.get("next", "")
        token = self._gate.token_of_secret(form.get("token", "").strip().encode("utf-8"))
        if token is None:
            refusal = self._gate.refuse_wrong(asked.client)
            return self._try_again(request, goal, refusal)
        return self._welcome(request, goal, token)

    async def leave(self, request: Request) -> Response:
        """End the session of this browser."""
        if not self._gate.is_own(asked_in(request.scope)):
            return problem_response(request, problem(403, "This came from a page of another site."))
        line = _line(request.scope, self._settings)
        response = _see_other(request.scope.get("root_path", "") + LOGIN_PATH)
        response.raw_headers.append((b"set-cookie", session_cookie(line, "", 0)))
        return response

    def _try_again(self, request: Request, goal: str, refusal: Problem) -> Response:
        status = HTTPStatus(refusal.status)
        page = login_page(request.scope, self._settings, goal, refusal.detail, status)
        page.raw_headers += [field for field in refusal.fields if field[0] == b"retry-after"]
        return page

    def _welcome(self, request: Request, goal: str, token: KnownToken) -> Response:
        now = int(time.time())
        expires_at = now + SESSION_SECONDS
        if token.expires_at is not None:
            expires_at = min(expires_at, token.expires_at)
        value = session_value(self._gate.session_key(), token, expires_at)
        line = _line(request.scope, self._settings)
        visit = self._gate.visit_of_token(token)
        response = _see_other(_goal_for(visit, goal, request.scope.get("root_path", "")))
        response.raw_headers.append((b"set-cookie", session_cookie(line, value, expires_at - now)))
        return response


def login_page(
    scope: Scope,
    settings: Settings,
    goal: str,
    message: str,
    status: HTTPStatus = HTTPStatus.UNAUTHORIZED,
) -> Response:
    """The page on which a token is asked for; goal is where to go then."""
    content = template("login.html").render(
        root_path=scope.get("root_path", ""),
        next=goal,
        message=message,
        is_encrypted=_line(scope, settings) is Line.ENCRYPTED,
    )
    response = Response(content, status)
    length = (b"content-length", str(len(response.body)).encode("ascii"))
    # Bearer alone: for Basic, browsers would open a window of their own over the page.
    challenge = [BEARER] if status == HTTPStatus.UNAUTHORIZED else []
    again = [_LOAD_AGAIN] if challenge and _comes_from_elsewhere(scope) else []
    response.raw_headers = [*_PAGE_FIELDS, length, *challenge, *again]
    return response


def _is_script(scope: Scope) -> bool:
    """Whether a script in a browser asks; where the line is plain, only ours say so."""
    fields = dict(scope["headers"])
    return (
        b"x-requested-with" in fields or fields.get(b"sec-fetch-mode", b"navigate") != b"navigate"
    )


def _wants_page(scope: Scope) -> bool:
    """Whether a browser navigates here, or sends a form: what it shows then is a page."""
    accept = b", ".join(value for key, value in scope["headers"] if key == b"accept")
    if scope["method"] not in (*_VISITING, "POST") or b"text/html" not in accept:
        return False
    return preferred(accept.decode("latin-1"), _OFFERS) == "text/html"


def _comes_from_elsewhere(scope: Scope) -> bool:
    """Whether a link on another site led here: a SameSite=Strict cookie does not come with that.

    The page then loads the address once more by itself, which is a visit from this site.
    """
    return scope["method"] in _VISITING and (b"sec-fetch-site", b"cross-site") in scope["headers"]


def address_of(scope: Scope) -> str:
    """Where to go after the login, a path and its query: here again; after a form, to its page."""
    path: str = (scope.get("raw_path") or b"/").decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query and scope["method"] in _VISITING else path


def _other_login(scope: Scope) -> Way:
    """The login page that leads back to this address."""
    root_path: str = scope.get("root_path", "")
    goal = quote(address_of(scope), safe="/")
    return Way(f"{root_path}{LOGIN_PATH}?next={goal}", "Log in with another token")


def _goal_for(visit: Visit, goal: str, root_path: str) -> str:
    """Where the holder of a token is sent: the goal, or the folder that the token is for."""
    if _is_path_here(goal):
        path = goal.partition("?")[0].removeprefix(root_path)
        try:
            if visit.may_read(parse_request_path(path.encode("latin-1")).name):
                return goal
        except NameRefused:
            pass
    return root_path + Name(visit.reads or ()).url_path


def _line(scope: Scope, settings: Settings) -> Line:
    address = Address.of(scope.get("scheme", "http"), scope["headers"])
    return line_of(address, settings.public_url)


async def _form_of(request: Request) -> dict[str, str] | None:
    """The first value of each field of a form; None for one that is too long.

    Raises ClientDisconnect.
    """
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > _MAX_FORM_BYTES:
            return None
    return first_values(bytes(content))


def _see_other(location: str) -> Response:
    fields = {"Location": location, "Cache-Control": "no-store"}
    return Response(status_code=HTTPStatus.SEE_OTHER, headers=fields)
