"""A browser opens listings, downloads, seeks in films, and runs no script of a served file."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.access_log import access_lines, errors_in, wait_for_access_lines
from tests.clients.browsers import PATIENCE
from tests.clients.programs import require, wait_until
from tests.clients.samples import MIB, sha256_of, write_film, write_random
from tests.running_server import RunningServer, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FILM_SECONDS = 40
FILM_BITS_PER_SECOND = 16_000_000

# What a script of a served file would do: tell the server, from the server's own origin.
_SCRIPT = (
    'document.documentElement.setAttribute("ran", "yes");'
    'fetch("/-/health?a-script-ran").then(response => response.text());'
)
_XHTML = "http://www.w3.org/1999/xhtml"
_SVG = "http://www.w3.org/2000/svg"
ACTIVE_FILES = {
    "page.html": f"<!doctype html><title>page</title><p>text</p><script>{_SCRIPT}</script>",
    "handler.html": f"<!doctype html><img src='data:,' onerror='{_SCRIPT}'>",
    "drawing.svg": f'<svg xmlns="{_SVG}"><circle r="9"/><script>{_SCRIPT}</script></svg>',
    "page.xhtml": f'<html xmlns="{_XHTML}"><body><script>{_SCRIPT}</script></body></html>',
    "page.xml": f'<html xmlns="{_XHTML}"><body><script>{_SCRIPT}</script></body></html>',
}
ACTIVE_TYPES = {
    "html": "text/html",
    "svg": "image/svg+xml",
    "xhtml": "application/xhtml+xml",
    "xml": "application/xml",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("root")
    for name, text in ACTIVE_FILES.items():
        (root / name).write_text(text)
    (root / "a folder").mkdir()
    (root / "a folder" / 'odd "name" <b>&amp; 100%.bin').write_bytes(b"odd")
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[RunningServer]:
    with running_server(root) as server:
        yield server
        assert errors_in(server) == []


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    with contextlib.closing(browser.new_context(accept_downloads=True)) as context:
        context.set_default_timeout(PATIENCE)
        yield context.new_page()


def test_a_listing_opens_without_a_word_on_the_console(page: "Page", server: RunningServer) -> None:
    said = _console_of(page)
    page.goto(server.url, wait_until="networkidle")
    assert page.get_by_role("link", name="a folder").is_visible()
    page.get_by_role("link", name="a folder").click()
    page.wait_for_url("**/a%20folder/")
    assert page.get_by_role("link", name='odd "name" <b>&amp; 100%.bin').is_visible()
    assert said == []


def test_a_click_in_a_listing_downloads_a_file_whole(
    page: "Page", root: Path, server: RunningServer, tmp_path: Path
) -> None:
    sha256 = write_random(root / "data.bin", 48 * MIB)
    page.goto(server.url)
    with page.expect_download() as waiting:
        page.get_by_role("link", name="data.bin").click()
    waiting.value.save_as(tmp_path / "got")
    assert waiting.value.suggested_filename == "data.bin"
    assert sha256_of(tmp_path / "got") == sha256


def test_a_file_with_an_odd_name_downloads_by_its_link(
    page: "Page", server: RunningServer, tmp_path: Path
) -> None:
    page.goto(f"{server.url}a%20folder/")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="odd").click()
    waiting.value.save_as(tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"odd"


@pytest.mark.parametrize("name", ACTIVE_FILES)
def test_the_scripts_here_do_run_where_nothing_forbids_them(
    name: str, page: "Page", server: RunningServer
) -> None:
    """Else the next test would show nothing."""
    media_type = ACTIVE_TYPES[name.partition(".")[2]]
    page.route(
        f"{server.url}unprotected",
        lambda route: route.fulfill(body=ACTIVE_FILES[name], content_type=media_type),
    )
    earlier = len(access_lines(server, "/-/health"))
    with page.expect_request("**/-/health?a-script-ran"):
        page.goto(f"{server.url}unprotected")
    # So that the next test does not find it.
    wait_for_access_lines(server, "/-/health", earlier + 1)


@pytest.mark.parametrize("name", ACTIVE_FILES)
def test_a_served_file_runs_no_script_in_the_origin_of_the_service(
    name: str, page: "Page", server: RunningServer
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    earlier = len(access_lines(server, "/-/health"))
    page.goto(f"{server.url}{name}", wait_until="networkidle")
    assert asked[0] == f"{server.url}{name}"
    assert not [url for url in asked if "a-script-ran" in url]
    assert page.locator("[ran]").count() == 0
    assert len(access_lines(server, "/-/health")) == earlier


def test_a_film_in_a_page_is_played_from_the_middle_by_ranges(
    page: "Page", root: Path, server: RunningServer
) -> None:
    require("ffmpeg")
    film = root / "film.mp4"
    write_film(film, FILM_SECONDS, FILM_BITS_PER_SECOND)
    page.set_content(f'<video muted preload="metadata" src="{server.url}film.mp4"></video>')
    video = page.locator("video")
    video.evaluate("v => new Promise(done => v.readyState ? done() : v.onloadedmetadata = done)")
    assert round(video.evaluate("v => v.duration")) == FILM_SECONDS
    video.evaluate(
        "(v, at) => new Promise(done => { v.onseeked = done; v.currentTime = at; })",
        FILM_SECONDS - 3,
    )
    assert video.evaluate("v => v.readyState") >= 2, "there is no picture"
    assert video.evaluate("v => v.error") is None
    page.goto("about:blank")  # drops what is still being loaded
    half = film.stat().st_size // 2
    wait_until(lambda: max(_range_starts(server), default=0) > half, "a range behind the middle")
    print(f"the browser asked for ranges of film.mp4 from {_range_starts(server)}")


def _range_starts(server: RunningServer) -> list[int]:
    """Where the ranges of the film begin that were answered with 206."""
    partial = [line for line in access_lines(server, "/film.mp4") if line.status == 206]
    ranges = [line.range for line in partial if line.range is not None]
    return [int(field.partition("=")[2].partition("-")[0]) for field in ranges]


def _console_of(page: "Page") -> list[str]:
    """What the browser says about the page from now on: messages, errors, failed requests."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(f"failed: {request.url}"))
    return said
