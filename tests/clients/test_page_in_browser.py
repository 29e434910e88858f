"""The listing in a real browser: at every width, in the light and the dark, by mouse and by key."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
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
from tests.clients.programs import finish, require
from tests.running_server import RunningServer, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ODD_NAMES = ('it\'s "odd" $(id) `x` 100%.bin', "-rf.bin", "#?&.bin", "\N{HEBREW LETTER ALEF}.bin")
README = """# About

Words, `code` and a [link](deep/).

| a | b |
|---|---|
| a long cell with words | `another_long_cell_without_any_space_in_it_at_all` |

![from elsewhere](https://foreign.example/pixel.png)

```
a line of code that is much longer than any phone is wide, and has to break somewhere or other
```
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("root")
    (root / "README.md").write_text(README)
    (root / "deep" / "deeper").mkdir(parents=True)
    (root / "deep" / "deeper" / "needle.txt").write_text("words\n" * 100)
    (root / "empty").mkdir()
    (root / ("long name " * 20 + ".mkv")).write_bytes(b"x" * 3000)
    (root / ("x" * 200 + ".zip")).write_bytes(b"x" * 2000)
    for number, name in enumerate(ODD_NAMES):
        (root / name).write_bytes(name.encode() * (number + 1))
    # Dates are told to the second, and sorted by it.
    for number, name in enumerate(sorted(os.listdir(root), key=len)):
        os.utime(root / name, (1_767_323_045 + number, 1_767_323_045 + number))
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[RunningServer]:
    with running_server(root) as server:
        yield server
        assert errors_in(server) == []


@pytest.fixture
def page(browser: "Browser", server: RunningServer) -> Iterator["Page"]:
    with opened_page(browser) as page:
        said = console_of(page)
        page.goto(server.url)
        page.wait_for_selector("html.scripted")
        yield page
        assert said == []


def shown_names(page: "Page") -> list[str]:
    names: list[str] = page.locator("tbody tr:not([hidden]) th bdi").all_text_contents()
    return names


PLACES = ["", "deep/", "empty/", "?q=needle", "?q=nothing-is-called-this", "?sort=size&order=desc"]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("place", PLACES)
def test_a_page_fits_says_nothing_and_is_accessible(
    browser: "Browser", server: RunningServer, place: str, width: int, scheme: str
) -> None:
    with opened_page(browser, width, color_scheme=scheme) as page:
        said = console_of(page)
        page.goto(server.url + place, wait_until="networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert axe_faults(page) == []
        if page.locator(".more").count():
            page.locator(".more").last.click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert axe_faults(page) == []
        assert said == []


def test_the_page_works_without_scripts(browser: "Browser", server: RunningServer) -> None:
    with opened_page(browser, java_script_enabled=False) as page:
        page.goto(server.url)
        assert page.locator(".more").count() > 0
        assert not page.locator(".more").first.is_visible()
        page.get_by_role("link", name="Size").click()
        page.wait_for_url("**/?sort=size&order=desc")
        page.locator("#search").fill("needle")
        page.locator("#search").press("Enter")
        page.wait_for_url("**/?q=needle")
        page.get_by_role("link", name="needle.txt").click()
        page.wait_for_url("**/deep/deeper/needle.txt")


ORDERS = [("name", "desc"), ("size", "desc"), ("size", "asc"), ("modified", "desc")]


@pytest.mark.parametrize(("key", "order"), ORDERS)
def test_rows_are_sorted_in_place_as_the_server_sorts_them(
    page: "Page", browser: "Browser", server: RunningServer, key: str, order: str
) -> None:
    page.evaluate("window.isSamePage = true")
    for _ in range(2 if order == "asc" else 1):
        page.locator(f"[data-sort={key}] a").click()
    assert page.evaluate("window.isSamePage")
    direction = "ascending" if order == "asc" else "descending"
    assert page.locator(f"[data-sort={key}]").get_attribute("aria-sort") == direction
    assert page.url.endswith(f"?sort={key}&order={order}")
    with opened_page(browser) as other:
        other.goto(f"{server.url}?sort={key}&order={order}")
        assert shown_names(page) == shown_names(other)


def test_rows_are_filtered_as_one_types(page: "Page") -> None:
    everything = shown_names(page)
    page.locator("#search").press_sequentially("ODD")
    page.locator("#status", has_text="1 of").wait_for(state="attached")
    assert shown_names(page) == [ODD_NAMES[0]]
    page.locator("#search").press_sequentially("zzz")
    page.get_by_text("No name here contains that.").wait_for()
    page.locator("#search").press("Escape")
    page.get_by_text("No name here contains that.").wait_for(state="hidden")
    assert shown_names(page) == everything


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_copied_line_downloads_the_file_under_its_own_name(
    page: "Page", root: Path, name: str, tmp_path: Path
) -> None:
    require("curl", "sh")
    line = menu_lines(page, page.locator("tr", has=page.get_by_text(name, exact=True)))["curl"]
    subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert (tmp_path / name).read_bytes() == (root / name).read_bytes()
    assert len(list(tmp_path.iterdir())) == 1


def test_each_tool_has_its_line(page: "Page", server: RunningServer) -> None:
    row = page.locator("tr", has=page.locator("bdi", has_text="long name"))
    lines = {tool: shlex.split(line) for tool, line in menu_lines(page, row).items()}
    assert set(lines) == {"Link", "mpv", "curl", "wget", "aria2", "rclone"}
    url = server.url + ("long%20name%20" * 20) + ".mkv"
    assert all(url in words for words in lines.values())
    assert lines["mpv"] == ["mpv", url]


def test_the_folder_has_its_lines(page: "Page", server: RunningServer) -> None:
    page.locator(".more-folder").click()
    lines = read_menu(page)
    assert f"{server.url}?archive=zip" in shlex.split(lines["curl"])
    assert server.url in shlex.split(lines["rclone"])
    assert set(lines) == {"Link", "curl", "wget", "aria2", "Files", "rclone"}


def test_a_line_is_copied(page: "Page", server: RunningServer) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".more-folder").click()
    page.get_by_role("button", name="Copy Link").click()
    page.get_by_text("Copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == server.url
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "plain more-folder"


def menu_lines(page: "Page", row: "object") -> dict[str, str]:
    row.locator(".more").click()  # type: ignore[attr-defined]
    return read_menu(page)


def read_menu(page: "Page") -> dict[str, str]:
    page.locator(".menu").wait_for()
    rows = page.locator(".menu dl > div").all()
    return {row.locator("dt").inner_text(): row.locator("code").inner_text() for row in rows}


def focused(page: "Page") -> str:
    text: str = page.evaluate("document.activeElement.textContent")
    return text


def test_the_keyboard_walks_through_rows_and_folders(page: "Page", server: RunningServer) -> None:
    names = shown_names(page)
    seen = []
    for key in ("j", "ArrowDown", "j", "k", "ArrowUp"):
        page.keyboard.press(key)
        seen.append(focused(page))
    assert seen == [names[0], names[1], names[2], names[1], names[0]]
    page.keyboard.press("Enter")
    page.wait_for_url("**/deep/")
    page.keyboard.press("Backspace")
    page.wait_for_url(server.url)


def test_a_slash_goes_to_the_filter_and_down_from_there_into_the_rows(page: "Page") -> None:
    page.keyboard.press("/")
    page.keyboard.type("x/j")
    assert page.locator("#search").input_value() == "x/j"
    page.locator("#search").fill("bin")
    page.locator("#status", has_text="4 of").wait_for(state="attached")
    page.keyboard.press("ArrowDown")
    assert focused(page) == shown_names(page)[0]


def test_letters_can_be_switched_off_for_those_who_speak(page: "Page") -> None:
    """WCAG 2.1.4."""
    page.get_by_text("Keyboard").click()
    page.locator("#letters").uncheck()
    page.reload()
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement === document.body")
    page.keyboard.press("ArrowDown")
    assert focused(page) == shown_names(page)[0]


def test_the_button_tells_the_exact_size_of_the_whole(page: "Page") -> None:
    button = page.get_by_role("link", name="Download folder")
    page.locator(".whole-size", has_text="iB").wait_for()
    assert re.search(r"ZIP, [0-9.]+ KiB, resumable", button.inner_text())
    with page.expect_download() as waiting:
        button.click()
    exact = int(re.sub(r"\D", "", button.get_attribute("title") or ""))
    assert Path(waiting.value.path()).stat().st_size == exact


def test_a_readme_runs_nothing_and_loads_nothing_from_elsewhere(
    browser: "Browser", server: RunningServer
) -> None:
    with opened_page(browser) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url, wait_until="networkidle")
        assert page.get_by_role("heading", name="About").is_visible()
        assert all(url.startswith(server.url) for url in asked)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("many")
    for number in range(3_000):
        (root / f"{number:05}.bin").write_bytes(b"x" * (number % 7))
    with running_server(root) as server:
        yield server


def test_no_row_is_lost_when_thousands_are_sorted_and_filtered(
    browser: "Browser", many: RunningServer
) -> None:
    with opened_page(browser) as page:
        page.goto(many.url)
        page.locator("[data-sort=size] a").click()
        names = shown_names(page)
        assert len(set(names)) == len(names) == 3_000
        assert names[0] == "00006.bin"
        page.locator("#search").fill("299")
        page.locator("#status", has_text="13 of").wait_for(state="attached")
        assert sorted(shown_names(page)) == [
            "00299.bin", "01299.bin", "02299.bin", *(f"{n:05}.bin" for n in range(2990, 3000))
        ]  # fmt: skip


def test_the_lines_for_a_shell_are_words_of_that_shell(page: "Page") -> None:
    """Any text is one word, whatever a shell would make of it."""
    loaded = page.evaluate("performance.getEntriesByType('resource').map(entry => entry.name)")
    module = next(url for url in loaded if "/commands." in url)
    for text in ("a b", "it's", "$(id)`x`", "a\\b", "!!", "~", "*", "", "a;b", "é"):
        word = page.evaluate(f"async text => (await import('{module}')).quoted(text)", text)
        made = finish(["sh", "-c", f"printf %s {word}"])
        assert made.stdout == text
