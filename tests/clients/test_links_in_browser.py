"""A person with a link: the pages work, and nobody else learns the address."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fileserve.access.keys import Purpose, signing_key
from fileserve.access.links import Link, signed_path
from tests.clients.access_log import errors_in
from tests.clients.browsers import axe_faults, console_of, opened_page
from tests.running_server import RunningServer, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = Link("browserlink", (b"shared", b"films"), is_folder=True)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    (root / "shared" / "films" / "2026").mkdir(parents=True)
    (root / "shared" / "films" / "2026" / "notes.txt").write_text("what was filmed\n")
    (root / "shared" / "films" / "2026" / "other.txt").write_text("more\n")
    (root / "shared" / "private.txt").write_text("not for you")
    return root


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def server(root: Path, state: Path) -> Iterator[RunningServer]:
    with running_server(root, "--private", "--state-dir", str(state)) as server:
        yield server
        assert errors_in(server) == []


def address(server: RunningServer, state: Path, link: Link) -> str:
    key = signing_key(state, Purpose.LINK)
    return server.url.rstrip("/") + signed_path(link, key.key_id, key.secret)


def test_a_person_walks_through_a_linked_folder(
    browser: "Browser", server: RunningServer, state: Path
) -> None:
    with opened_page(browser) as page:
        said = console_of(page)
        start = address(server, state, FOLDER)
        assert page.goto(start).ok
        assert page.locator("nav[aria-label='Folders above']").count() == 0
        # Sorting is the script's work: it was let through, and the style sheet with it.
        assert page.evaluate("getComputedStyle(document.body).margin") == "0px"
        page.get_by_role("link", name="2026").first.click()
        page.wait_for_url("**/2026/")
        page.get_by_role("link", name="View").first.click()
        page.wait_for_url("**/notes.txt?view")
        assert "what was filmed" in page.locator("pre").inner_text()
        page.locator("nav.beside a[rel=next]").click()
        page.wait_for_url("**/other.txt?view")
        crumbs = page.locator("nav[aria-label='Folders above'] a")
        assert crumbs.all_inner_texts() == ["films", "2026"]
        crumbs.first.click()
        page.wait_for_url(start)
        assert said == []
        assert axe_faults(page) == []


def test_a_link_that_has_ended_says_so(
    browser: "Browser", server: RunningServer, state: Path
) -> None:
    with opened_page(browser, 360) as page:
        ended = Link("endedlink", FOLDER.segments, is_folder=True, expires_at=1)
        answer = page.goto(address(server, state, ended))
        assert answer is not None
        assert answer.status == 410
        assert page.get_by_role("heading").inner_text() == "This link has expired"
        assert axe_faults(page) == []


@contextmanager
def another_site() -> Iterator[tuple[str, list[str | None]]]:
    """A site of others, and the Referer fields that it was sent."""
    referers: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            referers.append(self.headers.get("Referer"))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{site.server_port}/", referers
        finally:
            site.shutdown()
            thread.join()


def test_another_site_does_not_learn_where_its_visitor_came_from(
    browser: "Browser", root: Path, server: RunningServer, state: Path
) -> None:
    with another_site() as (url, referers), opened_page(browser) as page:
        (root / "shared" / "films" / "README.md").write_text(f"[their site]({url}page)\n")
        page.goto(address(server, state, FOLDER))
        page.get_by_role("link", name="their site").click()
        page.wait_for_url(f"{url}page")
    assert referers[0] is None
