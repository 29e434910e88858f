"""Real programs and a real browser come in with a token, and nobody does without."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.clients.access_log import errors_in
from tests.clients.browsers import axe_faults, console_of, opened_page
from tests.clients.programs import PATIENCE_SECONDS, finish, require, wait_until
from tests.known_tokens import revoke, token_for
from tests.running_server import RunningServer, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CONTENT = b"only for some\n"


@dataclass(frozen=True)
class Private:
    """A private server of a folder, and the secrets of two tokens."""

    server: RunningServer
    root: Path
    everything: str
    folder: str

    def url(self, secret: str, path: str) -> str:
        return f"http://any:{secret}@{self.server.host}:{self.server.port}/{path}"


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Private]:
    root = tmp_path_factory.mktemp("private") / "root"
    (root / "films").mkdir(parents=True)
    (root / "films" / "a.txt").write_bytes(CONTENT)
    (root / "other.txt").write_bytes(CONTENT)
    everything, folder = token_for(root, "read"), token_for(root, "read", "films")
    with running_server(root, "--private") as server:
        yield Private(server, root, everything, folder)
        assert errors_in(server) == []


COMMANDS = [
    # program and its words; URL stands for the address, SECRET for the token
    ["curl", "-sf", "-u", "any:SECRET", "URL"],
    ["curl", "-sf", "-H", "Authorization: Bearer SECRET", "URL"],
    ["wget", "-q", "-O", "-", "--user", "any", "--password", "SECRET", "URL"],
    ["wget", "-q", "-O", "-", "--header", "Authorization: Bearer SECRET", "URL"],
    ["rclone", "cat", "--config", "", "--http-url", "FOLDER", ":http:a.txt"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: f"{words[0]} {words[2]}")
def test_programs_read_with_a_token(private: Private, words: list[str]) -> None:
    require(words[0])
    url = private.server.url + "films/a.txt"
    for secret, expected in ((private.folder, CONTENT), ("fs_" + "A" * 43, b"")):
        places = {"SECRET": secret, "URL": url, "FOLDER": private.url(secret, "films/")}
        command = [_filled(word, places) for word in words]
        ended = finish(command)
        assert ended.stdout.encode() == expected, ended.stderr
        assert (ended.returncode == 0) == bool(expected)


def test_rclone_lists_and_copies_a_folder(private: Private, tmp_path: Path) -> None:
    require("rclone")
    url = private.url(private.folder, "films/")
    ended = finish(["rclone", "copy", "--config", "", "--http-url", url, ":http:", str(tmp_path)])
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "a.txt").read_bytes() == CONTENT


def test_a_browser_logs_in_once_and_is_where_it_wanted_to_be(
    private: Private, browser: "Browser"
) -> None:
    with opened_page(browser) as page:
        said = console_of(page)
        page.goto(private.server.url + "films/?sort=size")
        assert page.title() == "Log in"
        assert axe_faults(page) == []
        _log_in(page, private.folder)
        assert page.url == private.server.url + "films/?sort=size"
        page.get_by_role("link", name="a.txt", exact=True).first.wait_for()
        cookies = page.context.cookies()
        assert [cookie["name"] for cookie in cookies] == ["__Host-fileserve"]
        assert cookies[0]["httpOnly"]
        assert cookies[0]["secure"]
        assert cookies[0]["sameSite"] == "Strict"
        assert private.folder not in cookies[0]["value"]
        # The 401 of the first page is said once; nothing else is.
        assert [text for text in said if "401" not in text] == []


def test_whoever_may_only_see_a_folder_is_led_there(private: Private, browser: "Browser") -> None:
    with opened_page(browser) as page:
        page.goto(private.server.url)
        _log_in(page, private.folder)
        assert page.url == private.server.url + "films/"


def test_a_wrong_token_is_said_and_the_goal_is_kept(private: Private, browser: "Browser") -> None:
    with opened_page(browser) as page:
        page.goto(private.server.url + "films/")
        _log_in(page, "fs_wrong")
        assert page.get_by_role("alert").is_visible()
        assert axe_faults(page) == []
        _log_in(page, private.folder)
        assert page.url == private.server.url + "films/"


def test_a_link_from_another_site_finds_the_session(private: Private, browser: "Browser") -> None:
    """A SameSite=Strict cookie does not come with it, but must not ask again for the token."""
    with opened_page(browser) as page:
        page.goto(private.server.url + "films/")
        _log_in(page, private.folder)
        goal = private.server.url + "films/"
        elsewhere = private.server.url.replace("127.0.0.1", "localhost") + "-/login"
        page.goto(elsewhere)
        page.evaluate(
            "url => { const a = document.createElement('a'); a.href = url; a.textContent = 'go';"
            " document.body.append(a); }",
            goal,
        )
        page.get_by_role("link", name="go").click()
        page.get_by_role("link", name="a.txt", exact=True).first.wait_for()
        assert page.url == goal


def test_without_a_session_the_page_is_loaded_once_more_and_no_more(
    private: Private, browser: "Browser"
) -> None:
    with opened_page(browser) as page:
        page.goto(private.server.url.replace("127.0.0.1", "localhost") + "-/login")
        visits: list[str] = []
        page.on("request", lambda asked: visits.append(asked.url))
        goal = private.server.url + "films/"
        page.evaluate("url => { location.href = url; }", goal)

        def has_come_again() -> bool:
            page.wait_for_timeout(50)  # lets Playwright hear of requests
            return visits.count(goal) >= 2

        wait_until(has_come_again, "the second visit")
        page.get_by_label("Token").wait_for()
        page.wait_for_timeout(1_000)
        assert visits.count(goal) == 2


def test_a_revoked_token_ends_its_sessions(private: Private, browser: "Browser") -> None:
    secret = token_for(private.root, "read", name="short")
    wait_until(lambda: _status(private, secret) == 200, "the new token")
    with opened_page(browser) as page:
        page.goto(private.server.url)
        _log_in(page, secret)
        page.get_by_role("link", name="other.txt", exact=True).first.wait_for()
        revoke(private.root, "short")
        # 429 where the tests before were wrong too often.
        wait_until(lambda: _status(private, secret) in (401, 429), "the end of the token")
        page.reload()
        assert page.title() == "Log in"


def _log_in(page: "Page", secret: str) -> None:
    page.get_by_label("Token").fill(secret)
    with page.expect_navigation():
        page.get_by_role("button", name="Log in").click()


def _status(private: Private, secret: str) -> int:
    url = private.server.url + "other.txt"
    fields = {"Authorization": f"Bearer {secret}"}
    return httpx.get(url, headers=fields, timeout=PATIENCE_SECONDS).status_code


def _filled(word: str, places: dict[str, str]) -> str:
    for mark, text in places.items():
        word = word.replace(mark, text)
    return word
