"""The view page in a real browser: it plays, seeks with few bytes, and remembers where it was."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.access_log import access_lines, errors_in, wait_for_access_lines
from tests.clients.browsers import (
    SCHEMES,
    WIDTHS,
    axe_faults,
    console_of,
    opened_page,
)
from tests.clients.programs import finish, require, wait_until
from tests.clients.samples import write_film
from tests.running_server import RunningServer, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FILM_SECONDS = 30
FILM_BITS_PER_SECOND = 14_000_000
# Its encoder is slow, and makes 4 MiB of each second.
WEBM_SECONDS = 15
SUBTITLES = "1\n00:00:01,000 --> 00:00:20,000\nHello <i>there</i>\n"
PDF = b"""%PDF-1.1
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]>>endobj
trailer<</Root 1 0 R>>
"""


def convert(source: Path, target: Path, *options: str) -> None:
    made = finish(["ffmpeg", "-nostdin", "-loglevel", "error", "-i", source, *options, target])
    assert made.returncode == 0, made.stderr


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("ffmpeg")
    root = tmp_path_factory.mktemp("root")
    write_film(root / "film.mp4", FILM_SECONDS, FILM_BITS_PER_SECOND)
    convert(root / "film.mp4", root / "film.mkv", "-c", "copy")
    webm = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "16", "-qmin", "2")
    size = ("-qmax", "12", "-b:v", "40M", "-g", "25", "-t", str(WEBM_SECONDS))
    convert(root / "film.mp4", root / "film.webm", *webm, *size)
    for second in (2, 3):
        os.link(root / "film.mp4", root / f"film {second}.mp4")
    (root / "film.en.srt").write_text(SUBTITLES)
    (root / "broken.mp4").write_bytes(b"no film at all")
    convert(root / "film.mp4", root / "picture.png", "-frames:v", "1")
    (root / "text.txt").write_text("line\n" * 200 + "w" * 500)
    (root / "page.html").write_text("<script>document.title = 'ran'</script>")
    (root / "paper.pdf").write_bytes(PDF)
    (root / "other.zip").write_bytes(b"x" * 2000)
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[RunningServer]:
    with running_server(root) as server:
        yield server
        assert errors_in(server) == []


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    with opened_page(browser) as page:
        yield page


def open_film(page: "Page", server: RunningServer, name: str = "film.mp4") -> None:
    page.goto(f"{server.url}{name}?view", wait_until="load")
    page.wait_for_selector("html.scripted")
    page.evaluate(
        "new Promise(done => media.readyState ? done() : media.onloadedmetadata = () => done())"
    )
    page.evaluate("media.muted = true")


VIEWED = ["film.mp4", "broken.mp4", "picture.png", "text.txt", "page.html", "other.zip"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", VIEWED)
def test_a_view_fits_says_nothing_and_is_accessible(
    browser: "Browser", server: RunningServer, name: str, width: int, scheme: str
) -> None:
    with opened_page(browser, width, color_scheme=scheme) as page:
        said = console_of(page)
        page.goto(f"{server.url}{name}?view", wait_until="load")
        page.wait_for_selector("html.scripted")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert axe_faults(page) == []
        assert said == []
        assert page.title() == name


def test_a_pdf_is_shown_by_the_browser_itself(page: "Page", server: RunningServer) -> None:
    said = console_of(page)
    page.goto(f"{server.url}paper.pdf?view", wait_until="load")

    def is_framed() -> bool:
        page.wait_for_timeout(50)  # lets Playwright hear of frames
        places = (f"{server.url}paper.pdf", "chrome-extension:")
        return any(frame.url.startswith(places) for frame in page.frames[1:])

    wait_until(is_framed, "the frame of the PDF")
    assert not [text for text in said if "refused" in text.lower()]


# Chromium reads Matroska with what mp4 has in it, though it never says so.
@pytest.mark.parametrize(
    ("ending", "seconds"), [("mp4", FILM_SECONDS), ("webm", WEBM_SECONDS), ("mkv", FILM_SECONDS)]
)
def test_a_seek_to_the_end_takes_few_bytes(
    page: "Page", root: Path, server: RunningServer, ending: str, seconds: int
) -> None:
    film = root / f"seek.{ending}"
    os.link(root / f"film.{ending}", film)
    open_film(page, server, film.name)
    assert round(page.evaluate("media.duration")) == seconds
    page.evaluate(
        "at => new Promise(done => { media.onseeked = () => done(); media.currentTime = at; })",
        seconds * 0.8,
    )
    assert page.evaluate("media.readyState") >= 2, "there is no picture"
    assert page.evaluate("media.error") is None
    page.goto("about:blank")  # drops what is still being loaded
    size, taken = film.stat().st_size, bytes_taken(server, f"/{film.name}")
    print(f"{film.name}: a seek to 80 % of {size >> 20} MiB took {taken >> 20} MiB")
    # How far Chromium reads ahead before the seek depends on how busy the machine is.
    assert taken < size


def bytes_taken(server: RunningServer, path: str) -> int:
    """What all transfers of path together sent, once a second passed in which none ended."""
    now, before = len(wait_for_access_lines(server, path, 2)), 0
    while now > before:
        time.sleep(1)
        now, before = len(access_lines(server, path)), now
    return sum(line.bytes for line in access_lines(server, path))


def test_the_player_is_played_by_keys(page: "Page", server: RunningServer) -> None:
    open_film(page, server)
    page.keyboard.press("Space")
    page.wait_for_selector("video")
    wait_until(lambda: not page.evaluate("media.paused"), "the film to play")
    page.keyboard.press("Space")
    wait_until(lambda: bool(page.evaluate("media.paused")), "the film to stop")
    page.evaluate("media.currentTime = 12")
    steps = [("ArrowRight", 17), ("ArrowRight", 22), ("ArrowLeft", 17)]
    for key, seconds in steps:
        page.keyboard.press(key)
        assert round(page.evaluate("media.currentTime")) == seconds
    page.evaluate("media.volume = 0.5")
    page.keyboard.press("ArrowUp")
    assert round(page.evaluate("media.volume"), 2) == 0.55
    page.keyboard.press("m")
    assert page.evaluate("media.muted") is False
    page.keyboard.press(">")
    assert page.evaluate("media.playbackRate") == 1.25
    assert page.locator("#speed").input_value() == "1.25"
    page.keyboard.press("<")
    page.keyboard.press("<")
    assert page.evaluate("media.playbackRate") == 0.75
    page.keyboard.press("c")
    wait_until(lambda: page.evaluate("media.textTracks[0].mode") == "showing", "subtitles")


def test_a_key_acts_once_when_the_player_has_the_focus(page: "Page", server: RunningServer) -> None:
    open_film(page, server)
    page.locator("video").focus()
    page.evaluate("media.currentTime = 12")
    page.keyboard.press("ArrowRight")
    assert round(page.evaluate("media.currentTime")) == 17
    page.keyboard.press("Space")
    wait_until(lambda: not page.evaluate("media.paused"), "the film to play")


def test_subtitles_are_converted_and_shown(page: "Page", server: RunningServer) -> None:
    open_film(page, server)
    page.evaluate("media.textTracks[0].mode = 'showing'")
    wait_until(lambda: bool(page.evaluate("media.textTracks[0].cues?.length")), "cues")
    assert page.evaluate("media.textTracks[0].cues[0].text") == "Hello <i>there</i>"
    assert page.evaluate("media.textTracks[0].language") == "en"


def test_a_film_goes_on_where_it_was_left(page: "Page", root: Path, server: RunningServer) -> None:
    film = root / "left.mp4"
    os.link(root / "film.mp4", film)
    open_film(page, server, "left.mp4")
    assert page.locator("#resumed").inner_text() == ""
    page.evaluate("media.currentTime = 15")
    page.goto("about:blank")
    open_film(page, server, "left.mp4")
    page.get_by_text("Continues at 0:00:15").wait_for()
    assert round(page.evaluate("media.currentTime")) == 15
    page.get_by_role("button", name="Start over").click()
    assert round(page.evaluate("media.currentTime")) == 0
    page.evaluate("media.currentTime = 15")
    page.goto("about:blank")
    # Another film under the same name: where the old one was left means nothing.
    film.unlink()
    film.write_bytes((root / "film.mp4").read_bytes())
    open_film(page, server, "left.mp4")
    assert page.locator("#resumed").inner_text() == ""
    assert page.evaluate("media.currentTime") == 0
    film.unlink()


def test_what_the_browser_cannot_play_is_told_with_another_way(
    page: "Page", server: RunningServer
) -> None:
    page.goto(f"{server.url}broken.mp4?view")
    page.get_by_text("This browser cannot show this file.").wait_for()
    assert page.locator("#failure-line").inner_text() == f"mpv {server.url}broken.mp4"


def test_keys_go_to_the_next_film_and_back_to_the_folder(
    page: "Page", server: RunningServer
) -> None:
    open_film(page, server, "film%202.mp4")
    page.keyboard.press("n")
    page.wait_for_url("**/film%203.mp4?view")
    page.wait_for_selector("html.scripted")
    page.keyboard.press("p")
    page.wait_for_url("**/film%202.mp4?view")
    page.wait_for_selector("html.scripted")
    page.keyboard.press("Backspace")
    page.wait_for_url(server.url)


def test_play_in_the_listing_plays(page: "Page", server: RunningServer) -> None:
    page.goto(server.url)
    row = page.locator("tr", has=page.get_by_text("film.mp4", exact=True))
    row.get_by_role("link", name="Play").click()
    page.wait_for_url("**/film.mp4?view")
    wait_until(lambda: not page.evaluate("media.paused"), "the film to play")


def test_a_shown_page_of_html_runs_nothing(page: "Page", server: RunningServer) -> None:
    page.goto(f"{server.url}page.html?view", wait_until="networkidle")
    assert page.title() == "page.html"
    assert "<script>document.title" in page.locator("pre").inner_text()
