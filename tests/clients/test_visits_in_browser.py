"""What pages tell and offer visitors in a real browser: strangers, writers, who came by a link."""

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.access_log import errors_in
from tests.clients.browsers import (
    SCHEMES,
    WIDTHS,
    axe_faults,
    console_of,
    opened_page,
)
from tests.clients.programs import finish
from tests.known_tokens import token_for
from tests.running_server import RunningServer, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LOG = "".join(f"line {number}\n" for number in range(50))


@dataclass(frozen=True)
class Place:
    """A writable server of a folder, and the secret of a token for all of it."""

    server: RunningServer
    root: Path
    writer: str

    def link(self, path: str, *options: str) -> str:
        """The address of a new link to path."""
        command = [sys.executable, "-m", "cli", "link", path, "--root", str(self.root)]
        made = finish([*command, "--json", *options])
        assert made.returncode == 0, made.stderr
        url: str = json.loads(made.stdout)["url"]
        return self.server.url + url[url.index("-/s/") :]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("visited") / "root"
    (root / "films" / "deep").mkdir(parents=True)
    (root / "films" / "deep" / "end.txt").write_text(LOG)
    (root / "films" / "notes.txt").write_text(LOG)
    (root / "films" / "secret sibling.txt").write_text(LOG)
    writer = token_for(root, "write", name="editor")
    with running_server(root, "--writable") as server:
        yield Place(server, root, writer)
        assert errors_in(server) == []


def log_in(page: "Page", secret: str) -> None:
    page.get_by_label("Token").fill(secret)
    page.get_by_role("button", name="Log in").click()


# Each width once and both schemes: test_page_in_browser has all pairs of what these pages share.
@pytest.mark.parametrize(("width", "scheme"), [*zip(WIDTHS, cycle(SCHEMES), strict=False)])
def test_pages_for_visitors_fit_and_are_accessible(
    browser: "Browser", place: Place, width: int, scheme: str
) -> None:
    with opened_page(browser, width, color_scheme=scheme) as page:
        said = console_of(page)

        def judge() -> None:
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert axe_faults(page) == []

        page.goto(place.server.url + "-/login?next=/films/")
        judge()
        log_in(page, place.writer)
        page.wait_for_selector("html.scripted")
        judge()
        page.locator("#upload summary").click()
        judge()
        page.goto(place.server.url + "films/notes.txt?view")
        judge()
        page.goto(place.link("films/notes.txt") + "?view")
        judge()
        page.get_by_role("button", name="Copy").click()
        page.get_by_text("QR code, to open").click()
        page.get_by_role("img", name="QR code").wait_for()
        judge()
        assert said == []


def test_a_stranger_logs_in_from_a_page_and_out_again(browser: "Browser", place: Place) -> None:
    with opened_page(browser) as page:
        page.goto(place.server.url + "films/?sort=size&order=desc")
        assert page.locator("#upload").count() == 0
        page.get_by_role("link", name="Log in").click()
        log_in(page, place.writer)
        page.wait_for_url("**/films/?sort=size&order=desc")
        assert page.get_by_text("Logged in as editor").is_visible()
        assert page.locator("#upload").is_visible()
        with page.expect_navigation():
            page.get_by_role("button", name="Log out").click()
        page.goto(place.server.url + "films/")
        assert page.get_by_role("link", name="Log in").is_visible()
        assert page.locator("#upload").count() == 0


def test_a_linked_folder_leads_nowhere_above(browser: "Browser", place: Place) -> None:
    with opened_page(browser) as page:
        link = place.link("films", "--expires", "2d")
        page.goto(link)
        assert re.search("Shared with you by a link, until 20", page.inner_text("main"))
        assert page.locator("nav").count() == 0
        page.get_by_role("link", name="deep", exact=True).click()
        page.wait_for_url("**/deep/")
        assert page.locator("nav a").all_text_contents() == ["films"]
        page.get_by_role("link", name="films").click()
        page.wait_for_url(re.compile(re.escape(link.rstrip("/")) + "/?$"))
        for address in page.evaluate("[...document.querySelectorAll('a')].map(a => a.href)"):
            assert address.startswith(link.rstrip("/"))


def test_a_linked_file_does_not_tell_of_those_beside_it(browser: "Browser", place: Place) -> None:
    with opened_page(browser) as page:
        page.goto(place.link("films/notes.txt") + "?view")
        content = page.content()
        assert "line 49" in content
        assert "sibling" not in content
        assert "end.txt" not in content
        assert page.locator("nav a").count() == 0


def test_a_link_that_ended_says_so_on_a_page(browser: "Browser", place: Place) -> None:
    with opened_page(browser, 360) as page:
        url = place.link("films")
        changed = url.replace("/-/s/", "/-/s/x", 1)
        for address, status in ((changed, 403), (url.replace("/films", "/other"), 403)):
            answer = page.goto(address)
            assert answer is not None
            assert answer.status == status
            assert page.get_by_role("heading", name="This link is not valid").is_visible()
            assert axe_faults(page) == []


def test_a_log_is_followed_in_its_page(browser: "Browser", place: Place) -> None:
    with opened_page(browser) as page:
        page.goto(place.server.url + "films/deep/end.txt?view")
        follow = page.get_by_role("link", name="Follow as it grows")
        assert follow.get_attribute("href") == "end.txt?follow&tail=65536"
        follow.click()
        page.locator(".plain-text", has_text="line 49").wait_for()
        with open(place.root / "films" / "deep" / "end.txt", "a") as log:
            log.write("the newest <b>line</b>\n")
        page.locator(".plain-text", has_text="the newest <b>line</b>").wait_for()
        os.unlink(place.root / "films" / "deep" / "end.txt")
        page.locator("#follow-status", has_text="not there any more").wait_for()
        (place.root / "films" / "deep" / "end.txt").write_text(LOG)
