"""The login page and its session: who gets one, where it leads, and what cannot be forged."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from conversation import Conversation, conversation

from fileserve.access.keys import Purpose, rotate_key
from fileserve.app import create_app
from fileserve.settings import Settings
from fileserve.state import state_folder
from storage.local import LocalStorage
from tests.known_tokens import Known, let_in

Serve = Callable[..., Conversation]
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OURS = {"Origin": "http://files.example"}
COOKIE = re.compile(
    r"fileserve=([0-9]+\.[A-Za-z0-9_-]{43}\.[\w.-]+); Path=/; HttpOnly; SameSite=Strict; "
    r"Max-Age=([0-9]+)"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "a b").mkdir(parents=True)
    (tmp_path / "root" / "a b" / "one.bin").write_bytes(b"0123456789")
    return tmp_path / "root"


@pytest.fixture
def served(root: Path) -> Iterator[Serve]:
    """Makes conversations with sites of root, each with settings of its own."""
    with ExitStack() as running:

        def serve(**settings: object) -> Conversation:
            checked = Settings.model_validate({"root": root, "private": True, **settings})
            return running.enter_context(conversation(create_app(checked, LocalStorage(root))))

        yield serve


def log_in(talk: Conversation, secret: str, goal: str = "", **more: Any) -> httpx.Response:
    form = {"token": secret, "next": goal}
    return talk.ask("POST", "/-/login", OURS | HTML, data=form, **more)


def session_of(response: httpx.Response) -> str:
    """The cookie that a login gave, as a Cookie field value."""
    return response.headers["set-cookie"].partition(";")[0]


PAGES = [
    # method  accept                        status  media type                  id
    ("GET",   HTML["Accept"],               401,    "text/html",                "navigation"),
    ("POST",  HTML["Accept"],               401,    "text/html",                "form"),
    ("GET",   "*/*",                        401,    "application/problem+json", "curl"),
    ("GET",   "application/json",           401,    "application/problem+json", "program"),
    ("PUT",   HTML["Accept"],               401,    "text/html",                "no-page-for-put"),
]  # fmt: skip


@pytest.mark.parametrize("row", PAGES, ids=lambda row: row[4])
def test_who_is_asked_on_a_page(served: Serve, row: tuple[str, str, int, str, str]) -> None:
    method, accept, status, media_type, label = row
    response = served(writable=True).ask(method, "/", {"Accept": accept})
    assert response.status_code == status
    assert response.headers["content-type"].partition(";")[0] == media_type
    challenges = response.headers.get_list("www-authenticate")
    is_page = media_type == "text/html" and label != "no-page-for-put"
    assert ("Log in</title>" in response.text) == is_page
    # Two for programs; where people see a page, no window of the browser's own.
    assert [challenge.split()[0] for challenge in challenges] == (
        ["Bearer"] if is_page else ["Basic", "Bearer"]
    )
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("target", ["/", "/a%20b/one.bin?x=y", "/-/login"])
@pytest.mark.parametrize("accept", [HTML["Accept"], "*/*"])
def test_head_has_the_fields_of_get(served: Serve, target: str, accept: str) -> None:
    talk, fields = served(), {"Accept": accept, "Sec-Fetch-Site": "cross-site"}
    get, head = (talk.ask(method, target, fields) for method in ("GET", "HEAD"))
    assert (head.status_code, head.headers) == (get.status_code, get.headers)  # RFC 9110, 9.3.2


# RFC 6750 section 3: only who has shown a token is told what is wrong with it.
NONE, WRONG, LITTLE = "", ', error="invalid_token"', ', error="insufficient_scope"'
CHALLENGES = [
    # credentials                       method  target  status  said     id
    ({},                                "GET",  "/",    401,    NONE,    "none"),
    ({"Cookie": "fileserve=1.2.3"},     "GET",  "/",    401,    NONE,    "old-cookie"),
    ({"Authorization": "Bearer fs_x"},  "GET",  "/",    401,    WRONG,   "wrong"),
    ({"Authorization": "Basic eDp5"},   "GET",  "/",    401,    WRONG,   "wrong-by-basic"),
    ({"Authorization": "Bearer READ"},  "PUT",  "/x",   403,    LITTLE,  "other-scope"),
    ({"Authorization": "Bearer READ"},  "GET",  "/x",   403,    LITTLE,  "other-path"),
]  # fmt: skip


@pytest.mark.parametrize("row", CHALLENGES, ids=lambda row: row[5])
def test_a_token_that_is_not_enough_is_told_why(
    served: Serve, row: tuple[dict[str, str], str, str, int, str, str]
) -> None:
    shown, method, target, status, said, _ = row
    talk = served(writable=True)
    secret = let_in(talk.site, "read", b"a b")
    fields = {name: value.replace("READ", secret) for name, value in shown.items()}
    response = talk.ask(method, target, fields)
    assert response.status_code == status
    challenge = response.headers.get_list("www-authenticate")[-1]
    assert challenge == f'Bearer realm="fileserve"{said}'


ALLOWED = [("/-/login", {"GET", "HEAD", "POST"}), ("/-/logout", {"POST"})]


@pytest.mark.parametrize(("target", "methods"), ALLOWED)
def test_a_405_tells_all_methods_of_its_address(
    served: Serve, target: str, methods: set[str]
) -> None:
    response = served().ask("DELETE", target)
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == methods  # RFC 9110, 15.5.6


def test_a_login_gives_a_session_and_leads_on(served: Serve) -> None:
    talk = served()
    response = log_in(talk, let_in(talk.site, "read"), "/a%20b/?sort=size")
    assert (response.status_code, response.headers["location"]) == (303, "/a%20b/?sort=size")
    found = COOKIE.fullmatch(response.headers["set-cookie"])
    assert found
    assert int(found[2]) == 14 * 86_400
    page = talk.ask("GET", "/a%20b/", HTML | {"Cookie": session_of(response)})
    assert page.status_code == 200


def test_all_sessions_end_with_the_key_that_signed_them(root: Path, served: Serve) -> None:
    talk = served()
    secret = let_in(talk.site, "read")
    fields = {"Cookie": session_of(log_in(talk, secret)), "Accept": "*/*"}
    assert talk.ask("GET", "/", fields).status_code == 200
    rotate_key(state_folder(Settings(root=root)), Purpose.SESSION)
    deadline = time.monotonic() + 60
    while talk.ask("GET", "/", fields).status_code != 401:
        assert time.monotonic() < deadline, "the session goes on"
        time.sleep(0.05)
    assert talk.ask("GET", "/", {"Authorization": f"Bearer {secret}"}).status_code == 200
    again = {"Cookie": session_of(log_in(talk, secret)), "Accept": "*/*"}
    assert talk.ask("GET", "/", again).status_code == 200


def test_a_session_ends_with_its_token(served: Serve) -> None:
    talk = served()
    secret = let_in(talk.site, "read", name="bob")
    cookie = {"Cookie": session_of(log_in(talk, secret))}
    assert talk.ask("GET", "/", cookie).status_code == 200
    assert talk.site.gate is not None
    token = next(iter(talk.site.gate.tokens().values()))
    revoked = Known("bob", token.secret_hash, "read", revoked_at=1)
    talk.site.gate.tokens = lambda: {token.secret_hash: revoked}
    assert talk.ask("GET", "/", cookie).status_code == 401


def test_a_session_is_not_longer_than_its_token(served: Serve, monkeypatch: Any) -> None:
    monkeypatch.setattr("fileserve.site.sign_in.time.time", lambda: 1_000_000.5)
    talk = served()
    response = log_in(talk, let_in(talk.site, "read", expires_at=1_000_060))
    found = COOKIE.fullmatch(response.headers["set-cookie"])
    assert found
    assert found[1].startswith("1000060.")
    assert found[2] == "60"


GOALS = [
    # next                          leads to        id
    ("/a%20b/",                     "/a%20b/",      "a-folder"),
    ("/a%20b/one.bin?view",         "/a%20b/one.bin?view", "a-page"),
    ("",                            "/a%20b",       "nowhere"),
    ("/",                           "/a%20b",       "above-the-token"),
    ("/other/",                     "/a%20b",       "beside-the-token"),
    ("//evil.example/",             "/a%20b",       "another-host"),
    ("/\\evil.example/",            "/a%20b",       "another-host-by-a-backslash"),
    ("https://evil.example/",       "/a%20b",       "another-site"),
    ("/a%20b/\r\nSet-Cookie: x=y",  "/a%20b",       "a-line-break"),
    ("/-/login",                    "/a%20b",       "the-login-again"),
    ("javascript:alert(1)",         "/a%20b",       "a-script"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("goal", "location"), [row[:2] for row in GOALS], ids=[row[2] for row in GOALS]
)
def test_a_login_leads_nowhere_else(served: Serve, goal: str, location: str) -> None:
    talk = served()
    response = log_in(talk, let_in(talk.site, "read", b"a b"), goal)
    assert (response.status_code, response.headers["location"]) == (303, location)


def test_a_wrong_token_is_told_and_tenfold_wrong_has_to_wait(served: Serve) -> None:
    talk = served()
    answers = [log_in(talk, "fs_wrong", "/a%20b/") for _ in range(11)]
    assert [each.status_code for each in answers] == [401] * 10 + [429]
    assert 'role="alert"' in answers[0].text
    assert 'value="/a%20b/"' in answers[0].text
    assert answers[10].headers["retry-after"] == "2"
    assert all("set-cookie" not in each.headers for each in answers)
    # Whoever has a token is not kept out by a neighbour of the same address.
    assert log_in(talk, let_in(talk.site, "read")).status_code == 303


def test_the_page_escapes_what_it_repeats(served: Serve) -> None:
    talk = served()
    page = log_in(talk, "fs_wrong", '"><script>alert(1)</script>').text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


CHANGES = [
    ("POST", "/-/login"),
    ("POST", "/-/logout"),
    ("DELETE", "/a%20b/one.bin"),
    ("POST", "/a%20b/"),
]
FORGED = [
    # fields                                                    status   id
    ({},                                                        403,     "neither-field"),
    ({"Origin": "http://evil.example"},                         403,     "another-origin"),
    ({"Origin": "null"},                                        403,     "a-hidden-origin"),
    ({"Sec-Fetch-Site": "cross-site"},                          403,     "cross-site"),
    ({"Sec-Fetch-Site": "same-site"},                           403,     "same-site"),
    ({"Origin": "http://files.example"},                        None,    "our-origin"),
    ({"Sec-Fetch-Site": "same-origin"},                         None,    "same-origin"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "status"), [r[:2] for r in FORGED], ids=[r[2] for r in FORGED])
@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/-/login"),
        ("POST", "/-/logout"),
        ("DELETE", "/a%20b/one.bin"),
        ("POST", "/a%20b/"),
    ],
)
def test_other_sites_cannot_make_a_browser_change_anything(  # noqa: PLR0917 - two tables
    served: Serve, root: Path, method: str, target: str, fields: dict[str, str], status: int | None
) -> None:
    talk = served(writable=True)
    cookie = session_of(log_in(talk, let_in(talk.site, "write")))
    response = talk.ask(method, target, {"Cookie": cookie, **fields})
    if status is None:
        assert response.status_code != 403
    else:
        assert response.status_code == status
        assert (root / "a b" / "one.bin").exists()


def test_a_token_needs_no_origin(served: Serve) -> None:
    talk = served(private=False, writable=True)
    fields = {
        "Authorization": f"Bearer {let_in(talk.site, 'write')}",
        "Origin": "http://evil.example",
    }
    assert talk.ask("DELETE", "/a%20b/one.bin", fields).status_code not in (401, 403)


LINES = [
    # base_url                  settings                                    cookie
    ("http://files.example",    {},                                         "fileserve"),
    ("https://files.example",   {},                                         "__Host-fileserve"),
    ("http://localhost:8000",   {},                                         "__Host-fileserve"),
    ("http://127.0.0.1:8000",   {},                                         "__Host-fileserve"),
    ("http://files.example",    {"public_url": "https://files.example/x"},  "__Host-fileserve"),
]  # fmt: skip


@pytest.mark.parametrize(("base_url", "settings", "name"), LINES)
def test_the_cookie_fits_the_line(
    served: Serve, base_url: str, settings: dict[str, object], name: str
) -> None:
    talk = served(**settings)
    form = {"token": let_in(talk.site, "read")}
    origin = {"Sec-Fetch-Site": "same-origin"}
    response = talk.ask("POST", "/-/login", origin, data=form, base_url=base_url)
    cookie = session_of(response)
    assert cookie.partition("=")[0] == name
    assert ("; Secure" in response.headers["set-cookie"]) == name.startswith("__Host-")
    assert talk.ask("GET", "/", {"Cookie": cookie}, base_url=base_url).status_code == 200
    page = talk.ask("GET", "/-/login", HTML, base_url=base_url)
    assert ("not encrypted" in page.text) == (name == "fileserve")


def test_a_cookie_without_the_prefix_means_nothing_on_an_encrypted_line(served: Serve) -> None:
    """A neighbour's host may set it for us: then somebody would work under another's name."""
    talk = served()
    value = session_of(log_in(talk, let_in(talk.site, "read"))).partition("=")[2]
    plain = {"Cookie": f"fileserve={value}"}
    assert talk.ask("GET", "/", plain).status_code == 200
    assert talk.ask("GET", "/", plain, base_url="https://files.example").status_code == 401


def test_a_logout_ends_the_session_in_the_browser(served: Serve) -> None:
    talk = served()
    response = talk.ask("POST", "/-/logout", OURS)
    assert (response.status_code, response.headers["location"]) == (303, "/-/login")
    expected = "fileserve=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
    assert response.headers["set-cookie"] == expected


def test_an_endless_form_is_not_read(served: Serve) -> None:
    talk = served()
    form = {"token": "x" * 40_000}
    assert talk.ask("POST", "/-/login", OURS, data=form).status_code == 413


@pytest.mark.parametrize(
    "content", [b"", b"token", b"token=%ff%00", b"a=1&" * 50, b"\xff" * 100, b"token=a&token=b"]
)
def test_garbage_is_a_wrong_token(served: Serve, content: bytes) -> None:
    talk = served()
    assert talk.ask("POST", "/-/login", OURS, content=content).status_code == 401


def test_a_visit_from_another_site_loads_once_more(served: Serve) -> None:
    talk = served()
    elsewhere = talk.ask("GET", "/", HTML | {"Sec-Fetch-Site": "cross-site"})
    assert elsewhere.headers["refresh"] == "0"
    assert "refresh" not in talk.ask("GET", "/", HTML | {"Sec-Fetch-Site": "same-origin"}).headers


def test_whose_token_does_not_reach_is_led_to_the_login_and_back(served: Serve) -> None:
    talk = served()
    cookie = {"Cookie": session_of(log_in(talk, let_in(talk.site, "read", b"a b")))}
    page = talk.ask("GET", "/b%22/?sort=size", HTML | cookie)
    assert page.status_code == 403
    login = '<a href="/-/login?next=/b%2522/%3Fsort%3Dsize">Log in with another token</a>'
    assert login in page.text
    assert (
        talk.ask("GET", "/-/login?next=/b%2522/%3Fsort%3Dsize").text.count(
            'name="next" value="/b%22/?sort=size"'
        )
        == 1
    )
