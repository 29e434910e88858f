"""What the joined application does: which address belongs to whom, and what begins and ends."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from recording_send import RecordingSend, http_scope, no_more_request
from starlette.types import Message, Receive, Scope, Send

from fileserve.app import create_app
from fileserve.operations.transfers import Transfer
from fileserve.settings import Settings, SettingsError
from fileserve.site.pages import STATIC_FILES
from storage.errors import Unavailable
from storage.local import LocalStorage
from tests.asked_sites import ask, site_for
from tests.descriptors import nothing_left_open


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "films").mkdir()
    (folder / "a b.mkv").write_bytes(b"0123456789")
    return folder


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The access lines, as they are composed."""
    logger = logging.getLogger("fileserve.access")
    written: list[str] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record.getMessage())

    handler = Keeps()
    logger.addHandler(handler)
    caplog.set_level(logging.INFO, "fileserve.access")
    yield written
    logger.removeHandler(handler)


OWNERS = [
    # method   target                      status
    ("GET",     "/-/health",                200),
    ("HEAD",    "/-/health",                200),
    ("GET",     "/-/ready",                 200),
    ("GET",     "/-/docs",                  404),  # its scripts would come from a foreign host
    ("GET",     "/docs",                    404),
    ("GET",     "/openapi.json",            404),
    ("GET",     "/-/nothing",               404),
    ("GET",     "/-/",                      404),
    ("GET",     "/-",                       404),
    ("GET",     "/-/health/",               404),
    ("GET",     "/-/static/page.css",       404),  # only the address of its content
    ("GET",     "/-/static/..%2fapp.py",    404),
    ("POST",    "/-/health",                405),
    ("DELETE",  "/-/static/page.css",       405),
    ("GET",     "/",                        200),
    ("GET",     "/films/",                  200),
    ("GET",     "/films",                   301),
    ("GET",     "/a%20b.mkv",               200),
    ("GET",     "/films/-",                 404),
    ("GET",     "/nothing",                 404),
    ("GET",     "/%2e%2e/root/a%20b.mkv",   404),
    ("POST",    "/",                        405),
    ("OPTIONS", "/",                        204),
]  # fmt: skip


@pytest.mark.parametrize(("method", "target", "status"), OWNERS)
def test_each_address_has_one_owner(root: Path, method: str, target: str, status: int) -> None:
    assert ask(site_for(root), method, target).status_code == status


@pytest.mark.parametrize("target", ["/-/nothing", "/nothing", "/-/static/gone.css"])
def test_every_refusal_is_a_problem(root: Path, target: str) -> None:
    response = ask(site_for(root), "GET", target)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 404


def test_a_method_of_an_own_page_is_refused_with_what_is_allowed(root: Path) -> None:
    response = ask(site_for(root), "POST", "/-/health")
    assert sorted(response.headers["allow"].split(", ")) == ["GET", "HEAD"]
    assert response.json()["title"] == "Method Not Allowed"


STATIC = next(iter(STATIC_FILES.values()))
TAG = f'"{STATIC.digest}"'
CONDITIONS = [
    # target        fields                             status
    (STATIC.url,    {},                                200),
    (STATIC.url,    {"if_none_match": TAG},            304),
    (STATIC.url,    {"if_none_match": f"W/{TAG}"},     304),
    (STATIC.url,    {"if_none_match": '"other"'},      200),
    (STATIC.url,    {"if_match": TAG},                 200),
    (STATIC.url,    {"if_match": '"other"'},           412),
    ("/-/health",   {"if_match": '"other"'},           412),
    ("/-/health",   {"if_match": "*"},                 200),
    ("/-/health",   {"if_none_match": '"other"'},      200),
    ("/-/health",   {"if_none_match": "*"},            304),
    ("/-/ready",    {"if_match": '"other"'},           412),
    ("/-/nothing",  {"if_match": '"other"'},           404),  # 13.2.1: not in place of a refusal
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("target", "fields", "status"), CONDITIONS)
def test_conditions_on_own_pages_are_judged(
    root: Path, method: str, target: str, fields: dict[str, str], status: int
) -> None:
    assert ask(site_for(root), method, target, **fields).status_code == status


def test_a_static_file_that_is_held_already_is_not_sent_again(root: Path) -> None:
    whole = ask(site_for(root), "GET", STATIC.url)
    assert (whole.headers["etag"], whole.content) == (TAG, STATIC.content)
    again = ask(site_for(root), "GET", STATIC.url, if_none_match=TAG)
    assert (again.headers["etag"], again.content) == (TAG, b"")
    assert again.headers["cache-control"] == whole.headers["cache-control"]  # 9110, 15.4.5


def test_health_says_ok(root: Path) -> None:
    response = ask(site_for(root), "GET", "/-/health")
    assert response.json() == {"status": "ok"}
    assert response.headers["cache-control"] == "no-store"


def test_a_site_mounted_below_a_prefix_finds_its_own_pages(root: Path) -> None:
    site, send = site_for(root), RecordingSend()
    scope = {**http_scope("GET", "/files/-/health"), "root_path": "/files"}
    asyncio.run(site(scope, no_more_request, send))
    assert json.loads(send.content) == {"status": "ok"}
    asyncio.run(site.state.storage.close())


def test_a_stopping_service_is_not_ready(root: Path) -> None:
    site = site_for(root)
    site.state.is_draining = True
    response = ask(site, "GET", "/-/ready")
    assert (response.status_code, response.json()["status"]) == (503, "not ready")
    assert response.json()["reasons"] == ["The service is stopping."]


class DeadStorage(LocalStorage):
    """A root on a mount that does not answer."""

    async def is_in_place(self) -> bool:
        raise Unavailable("/srv/secret: no answer")


@pytest.mark.parametrize("comes", ["nothing", "another"])
def test_a_service_whose_root_was_replaced_is_not_ready(root: Path, comes: str) -> None:
    site = site_for(root)
    root.rename(root.with_name("old"))
    if comes == "another":
        root.mkdir()
    answer = ask(site, "GET", "/-/ready")
    assert answer.status_code == 503
    assert "replaced" in answer.json()["reasons"][0]


def test_a_service_whose_root_does_not_answer_is_not_ready(root: Path) -> None:
    site = create_app(Settings(root=root), DeadStorage(root))
    response = ask(site, "GET", "/-/ready")
    assert response.status_code == 503
    assert response.json()["reasons"] == ["The served folder does not answer."]


def test_what_a_page_names_is_served_for_ever(root: Path) -> None:
    page = ask(site_for(root), "GET", "/").text
    urls = re.findall(r'(?:href|src)="(/-/[^"]*)"', page)
    assert len(urls) == 3
    for url in urls:
        response = ask(site_for(root), "GET", url)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        types = ("text/css; charset=utf-8", "text/javascript; charset=utf-8", "image/svg+xml")
        assert response.headers["content-type"] in types


def test_a_folder_at_the_address_of_the_own_pages_is_refused(root: Path) -> None:
    (root / "-").mkdir()
    storage = LocalStorage(root)
    with pytest.raises(SettingsError, match="rename"):
        create_app(Settings(root=root), storage)
    asyncio.run(storage.close())


def test_a_file_named_hyphen_is_no_reason_to_refuse(root: Path) -> None:
    (root / "-").touch()
    assert ask(site_for(root), "GET", "/-").status_code == 404


ORIGIN = "https://player.example"
ALLOWED = "access-control-allow-origin"
CORS = [
    # cors_origins      Origin                Allow-Origin  Vary has Origin
    ([],                ORIGIN,               None,         False),
    (["*"],             ORIGIN,               "*",          False),
    (["*"],             None,                 "*",          False),
    ([ORIGIN],          ORIGIN,               ORIGIN,       True),
    ([ORIGIN],          "https://other.test", None,         True),
    ([ORIGIN],          ORIGIN + ".evil.test", None,        True),
    ([ORIGIN],          ORIGIN[:-1],          None,         True),
    ([ORIGIN],          "null",               None,         True),
    ([ORIGIN],          None,                 None,         True),
]  # fmt: skip


@pytest.mark.parametrize("target", ["/a%20b.mkv", "/films/"])
@pytest.mark.parametrize(("origins", "origin", "allowed", "varies"), CORS)
def test_scripts_of_listed_origins_may_read(  # noqa: PLR0917
    root: Path,
    origins: list[str],
    origin: str | None,
    allowed: str | None,
    varies: bool,
    target: str,
) -> None:
    fields = {} if origin is None else {"origin": origin}
    response = ask(site_for(root, cors_origins=origins), "GET", target, **fields)
    assert response.headers.get(ALLOWED) == allowed
    assert ("Origin" in response.headers.get("vary", "")) is varies
    exposed = response.headers.get("access-control-expose-headers", "")
    assert ("Content-Range" in exposed) is (allowed is not None)
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize("target", ["/a%20b.mkv", "/films/"])
def test_a_preflight_allows_ranges(root: Path, target: str) -> None:
    response = ask(
        site_for(root, cors_origins=[ORIGIN]),
        "OPTIONS",
        target,
        origin=ORIGIN,
        access_control_request_method="GET",
        access_control_request_headers="range",
    )
    assert response.status_code == 204
    assert response.headers[ALLOWED] == ORIGIN
    assert {"Range", "If-Range"} <= set(
        response.headers["access-control-allow-headers"].split(", ")
    )
    assert response.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"


def test_each_request_is_one_line_when_it_has_ended(root: Path, lines: list[str]) -> None:
    site = site_for(root)
    send = RecordingSend()
    scope = http_scope("GET", "/a%20b.mkv", range="bytes=2-5")
    asyncio.run(site(scope, no_more_request, send))
    assert send.content == b"2345"
    assert len(lines) == 1
    assert re.fullmatch(
        r"192\.0\.2\.7 GET /a%20b\.mkv 206 bytes=2-5 4 \d+\.\d{3} complete", lines[0]
    )
    asyncio.run(site.state.storage.close())


def test_own_pages_are_logged_as_well(root: Path, lines: list[str]) -> None:
    site = site_for(root)
    asyncio.run(site(http_scope("GET", "/-/health"), no_more_request, RecordingSend()))
    assert re.search(r" GET /-/health 200 - 15 ", lines[0])
    asyncio.run(site.state.storage.close())


def test_the_access_log_can_be_off(root: Path, lines: list[str]) -> None:
    site = site_for(root, access_log=False)
    asyncio.run(site(http_scope("GET", "/"), no_more_request, RecordingSend()))
    assert lines == []
    asyncio.run(site.state.storage.close())


def test_a_failing_application_is_logged_and_raised(root: Path, lines: list[str]) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("ours")

    site = site_for(root)
    site.files = fails
    with pytest.raises(ValueError, match="ours"):
        asyncio.run(site(http_scope("GET", "/"), no_more_request, RecordingSend()))
    assert re.search(r" GET / 500 - 0 \d+\.\d{3} failed$", lines[0])
    assert site.state.transfers.running() == []
    asyncio.run(site.state.storage.close())


def test_a_transfer_is_registered_while_it_runs(root: Path) -> None:
    seen: list[list[Transfer]] = []

    class Looks(RecordingSend):
        async def __call__(self, message: Message) -> None:
            await super().__call__(message)
            seen.append(site.state.transfers.running())

    site = site_for(root)
    asyncio.run(site(http_scope("GET", "/a%20b.mkv"), no_more_request, Looks()))
    assert [transfer.target for transfer in seen[0]] == [b"/a%20b.mkv"]
    assert site.state.transfers.running() == []
    asyncio.run(site.state.storage.close())


def test_serving_writes_nothing_into_the_root(root: Path) -> None:
    """Invariant I10."""

    def state() -> list[tuple[str, int, int]]:
        paths = [root, *sorted(root.rglob("*"))]
        return [(str(path), path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in paths]

    before = state()
    site = site_for(root)
    for target in ("/", "/films/", "/a%20b.mkv", "/nothing", "/-/ready"):
        ask(site_for(root), "GET", target)
    asyncio.run(site.state.storage.close())
    assert state() == before


def test_the_lifespan_opens_and_closes_storage(root: Path) -> None:
    with nothing_left_open():
        ask(site_for(root), "GET", "/")
