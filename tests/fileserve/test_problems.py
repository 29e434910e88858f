"""Which refusal a client gets for which error, in which form."""

import asyncio
import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from recording_send import RecordingSend, http_scope

from fileserve.problems import Problem, problem, problem_for, send_problem
from storage.errors import (
    AccessDenied,
    AlreadyExists,
    IsFolder,
    NameRefused,
    NoSpace,
    NotAFolder,
    NotFound,
    Overloaded,
    StorageError,
    Unavailable,
)

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
SECRET = "/srv/secret/a.mkv: Input/output error"


def sent(refusal: Problem, method: str = "GET", accept: str | None = None) -> RecordingSend:
    send = RecordingSend()
    fields = {} if accept is None else {"accept": accept}
    asyncio.run(send_problem(http_scope(method, "/a", **fields), send, refusal))
    return send


STATUSES = [
    # error                    status  Retry-After
    (NameRefused(SECRET),         404, None),
    (NotFound(SECRET),            404, None),
    (IsFolder(SECRET),            404, None),
    (NotAFolder(SECRET),          404, None),
    (AccessDenied(SECRET),        403, None),
    (Unavailable(SECRET, 7),      503, "7"),
    (Overloaded(SECRET, 2),       503, "2"),
    (AlreadyExists(SECRET),       500, None),
    (NoSpace(SECRET),             500, None),
    (StorageError(SECRET),        500, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status", "retry_after"), STATUSES, ids=lambda value: type(value).__name__
)
def test_each_error_has_one_status(
    error: StorageError, status: int, retry_after: str | None
) -> None:
    response = sent(problem_for(error))
    assert response.status == status
    assert response.fields.get("retry-after") == retry_after


@pytest.mark.parametrize("accept", ["application/json", BROWSER])
@pytest.mark.parametrize("error", [row[0] for row in STATUSES], ids=lambda e: type(e).__name__)
def test_the_words_of_an_error_stay_inside(error: StorageError, accept: str) -> None:
    assert b"secret" not in sent(problem_for(error), accept=accept).content


def test_a_problem_has_the_members_of_rfc_9457() -> None:
    response = sent(Problem(503, "Service Unavailable", "Later.", ((b"retry-after", b"5"),)))
    assert json.loads(response.content) == {
        "type": "about:blank",          # 4.2.1
        "title": "Service Unavailable", # 4.2.1: the status's phrase
        "status": 503,                  # 3.1.2
        "detail": "Later.",             # 3.1.4
    }  # fmt: skip
    assert response.fields == {
        "content-type": "application/problem+json",
        "content-length": str(len(response.content)),
        "cache-control": "no-store",
        "vary": "Accept",
        "x-content-type-options": "nosniff",
        "retry-after": "5",
    }


OWN_TITLES = [
    # problem                                      title                 detail
    (Problem(403, "It is over", "Sorry."),         "Forbidden",          "It is over. Sorry."),
    (Problem(460, "Checksum Mismatch", "Sorry."),  "Checksum Mismatch",  "Sorry."),  # not HTTP
    (Problem(413, "Content Too Large", "Sorry."),  "Content Too Large",  "Sorry."),
]  # fmt: skip


@pytest.mark.parametrize(("refusal", "title", "detail"), OWN_TITLES)
def test_the_title_of_a_problem_is_the_phrase_of_its_status(
    refusal: Problem, title: str, detail: str
) -> None:
    members = json.loads(sent(refusal).content)  # RFC 9457 section 4.2.1
    assert (members["title"], members["detail"]) == (title, detail)
    assert f"<h1>{refusal.title}</h1>".encode() in sent(refusal, accept=BROWSER).content


FORMS = [
    # Accept                              media type
    (None,                                "application/problem+json"),
    ("*/*",                               "application/problem+json"),
    ("application/json",                  "application/problem+json"),
    ("image/png",                         "application/problem+json"),
    ("application/problem+json",          "application/problem+json"),
    (BROWSER,                             "text/html; charset=utf-8"),
    ("text/html;q=0.1, application/*;q=0.9", "application/problem+json"),
]  # fmt: skip


@pytest.mark.parametrize(("accept", "media_type"), FORMS)
def test_browsers_get_a_page_and_programs_json(accept: str | None, media_type: str) -> None:
    assert sent(problem(404, "Gone."), accept=accept).fields["content-type"] == media_type


@pytest.mark.parametrize("accept", [None, BROWSER])
def test_head_has_the_fields_of_get_and_no_content(accept: str | None) -> None:
    get, head = (sent(problem(404, "Gone."), method, accept) for method in ("GET", "HEAD"))
    assert head.content == b""
    assert head.fields == get.fields
    assert int(head.fields["content-length"]) == len(get.content)


def test_the_page_escapes_its_words() -> None:
    page = sent(Problem(404, "<i>&", '<script>alert("1")</script>'), accept=BROWSER).content
    assert b"<script" not in page
    assert b"<i>" not in page
    assert b"&lt;i&gt;&amp;" in page


def test_the_page_is_allowed_its_own_style_and_nothing_else() -> None:
    response = sent(problem(404, "Gone."), accept=BROWSER)
    style = re.search(rb"<style>(.*)</style>", response.content, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    policy = response.fields["content-security-policy"].split("; ")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_the_page_needs_nothing_else_from_the_server() -> None:
    class Links(HTMLParser):
        found: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found += [name for name, _ in attrs if name in ("href", "src")]

    links = Links()
    links.feed(sent(problem(404, "Gone."), accept=BROWSER).content.decode())
    assert links.found == []
