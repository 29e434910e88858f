"""Refusals on the wire: the only map from a StorageError to a status, as RFC 9457 problem details.

Programs get `application/problem+json`, browsers a small page of the same words.  The words are
fixed here: a StorageError's own sentence is for the log, it may name things on the disk.
"""

import base64
import hashlib
import html
import json
from dataclasses import dataclass, replace
from http import HTTPStatus
from string import Template

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope, Send

from fileserve.http.accept import preferred
from fileserve.http.fields import merged
from storage.errors import (
    AccessDenied,
    AlreadyExists,
    Busy,
    Changed,
    IsFolder,
    NameRefused,
    NoSpace,
    NotAFolder,
    NotEmpty,
    NotFound,
    OtherFileSystem,
    Overloaded,
    StorageError,
    Unavailable,
)

Field = tuple[bytes, bytes]

PROBLEM_MEDIA_TYPE = "application/problem+json"
_HTML_MEDIA_TYPE = "text/html"

_STYLE = """
:root { color-scheme: light dark; --text: #1b2129; --soft: #56616e; --back: #fbfbfa }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ec; --soft: #a0abb7; --back: #14171b }
}
body { margin: 0; min-height: 100vh; display: grid; place-content: center; padding: 1.5rem;
  box-sizing: border-box; color: var(--text); background: var(--back);
  font: 1rem/1.5 system-ui, sans-serif; text-align: center }
h1 { font-size: 1.375rem; font-weight: 600; margin: 0 0 .5rem }
p { margin: 0; color: var(--soft); max-width: 34rem; overflow-wrap: anywhere }
.way { margin-top: 1.5rem } a { color: inherit }
.status { font: 600 3.5rem/1 ui-monospace, monospace; margin-bottom: 1rem }
"""
# The page brings its own style, so that it is whole when nothing else can be served.
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
_CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
).encode("ascii")
_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$status $title</title>
<style>$style</style>
</head>
<body>
<main>
<p class="status">$status</p>
<h1>$title</h1>
<p>$detail</p>
$way</main>
</body>
</html>
""")


_PAGE_FIELDS: tuple[Field, ...] = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", _CONTENT_SECURITY_POLICY),
)
_JSON_FIELDS: tuple[Field, ...] = ((b"content-type", PROBLEM_MEDIA_TYPE.encode("ascii")),)


@dataclass(frozen=True, slots=True)
class Way:
    """A link on the page of a refusal; an empty address is that of the page itself."""

    address: str
    words: str


# To a form: the page that it stood on has its address, asked for by GET.
_BACK = Way("", "Back to the page")
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
# RFC 9110 section 15.5.14; Python 3.11 has the word of before.
_PHRASES[413] = "Content Too Large"


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal in words for the client.

    fields are response fields of this case, like Allow, with lower-case names as ASGI wants them.
    way is where people may go from here, where that is somewhere.  kind is the problem type, a
    URI, and members what it tells to programs beside (RFC 9457 sections 3.1.1 and 3.2).
    """

    status: int
    title: str
    detail: str
    fields: tuple[Field, ...] = ()
    way: Way | None = None
    kind: str = "about:blank"
    members: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RenderedProblem:
    """A Problem as it goes out: fields and content."""

    status: int
    fields: list[Field]
    content: bytes


def problem(status: int, detail: str, *fields: Field) -> Problem:
    """A Problem whose title is the status's own phrase."""
    return Problem(status, _PHRASES[status], detail, fields)


def problem_for(error: StorageError) -> Problem:
    """The refusal that tells a client about error: no more than it may know.

    IsFolder and NotAFolder are answered by the site with a redirect; here they are 404.
    """
    match error:
        case NameRefused() | NotFound() | IsFolder() | NotAFolder():
            return problem(404, "There is nothing at this address.")
        case AccessDenied():
            return problem(403, "The server may not read what is at this address.")
        case Busy():
            return problem(423, "Somebody else is writing to this now. Please try again.")
        case Overloaded():
            detail = "The server has too many files open at the moment. Please try again."
            return problem(503, detail, _retry_after(error))
        case Unavailable():
            detail = "The storage behind this address does not answer now. Please try again."
            return problem(503, detail, _retry_after(error))
        case _:
            return problem(500, "The server could not do this.")


def problem_of_change(error: StorageError) -> Problem:
    """As problem_for, for whoever may write there: it may know what is in the way."""
    match error:
        case NameRefused():
            return problem(400, "Nothing can have this name here.")
        case NotAFolder():
            return problem(409, "Something on the way to this address is not a folder.")
        case IsFolder():
            return problem(409, "There is a folder at this address.")
        case AlreadyExists():
            return problem(409, "There is something at this address already.")
        case NotEmpty():
            return problem(409, "The folder is not empty; '?recursive' removes all it holds.")
        case OtherFileSystem():
            return problem(409, "The two addresses lie on different disks; upload it anew there.")
        case Changed():
            return problem(412, "It was changed meanwhile.")
        case NoSpace():
            return problem(507, "There is not enough space for it.")
        case AccessDenied():
            return problem(403, "The server may not write what is at this address.")
        case _:
            return problem_for(error)


def render_problem(refusal: Problem, accept: str | None) -> RenderedProblem:
    """The refusal in the form that the Accept field value prefers; JSON where it says nothing.

    Accept never leads to a 406 here: a refusal in an unwanted form is worth more than none.
    """
    offers = (PROBLEM_MEDIA_TYPE, _HTML_MEDIA_TYPE)
    if preferred(accept, offers) == _HTML_MEDIA_TYPE:
        content, own_fields = _page(refusal), _PAGE_FIELDS
    else:
        content, own_fields = _json(refusal), _JSON_FIELDS
    fields = [
        *own_fields,
        (b"content-length", str(len(content)).encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept"),
        (b"x-content-type-options", b"nosniff"),
        *refusal.fields,
    ]
    return RenderedProblem(refusal.status, merged(fields), content)


async def send_problem(scope: Scope, send: Send, refusal: Problem) -> None:
    """Send refusal as the whole response; to HEAD without content (RFC 9110 section 9.3.2)."""
    if refusal.way is None and scope["method"] == "POST":
        refusal = replace(refusal, way=_BACK)
    rendered = render_problem(refusal, _accept(scope))
    await send(
        {
            "type": "http.response.start",
            "status": rendered.status,
            "headers": rendered.fields,
        }
    )
    content = b"" if scope["method"] == "HEAD" else rendered.content
    await send({"type": "http.response.body", "body": content, "more_body": False})


def problem_response(request: Request, refusal: Problem) -> Response:
    """The refusal for handlers that return what Starlette sends."""
    rendered = render_problem(refusal, _accept(request.scope))
    response = Response(rendered.content, rendered.status)
    response.raw_headers = rendered.fields
    return response


def _json(refusal: Problem) -> bytes:
    """A title of our own goes before the detail: to `about:blank` belongs the status's phrase."""
    phrase = _PHRASES.get(refusal.status, refusal.title)
    detail = refusal.detail if phrase == refusal.title else f"{refusal.title}. {refusal.detail}"
    members = {
        "type": refusal.kind,
        "title": phrase,
        "status": refusal.status,
        "detail": detail,
        **dict(refusal.members),
    }
    return json.dumps(members).encode("ascii") + b"\n"


def _page(refusal: Problem) -> bytes:
    text = _PAGE.substitute(
        status=refusal.status,
        title=html.escape(refusal.title),
        detail=html.escape(refusal.detail),
        way=_link(refusal.way),
        style=_STYLE,
    )
    return text.encode("utf-8")


def _link(way: Way | None) -> str:
    if way is None:
        return ""
    return f'<p class="way"><a href="{html.escape(way.address)}">{html.escape(way.words)}</a></p>\n'


def _accept(scope: Scope) -> str | None:
    values = [value.decode("latin-1") for key, value in scope["headers"] if key == b"accept"]
    return ", ".join(values) if values else None


def _retry_after(error: Unavailable) -> Field:
    return (b"retry-after", str(error.retry_after_seconds).encode("ascii"))
