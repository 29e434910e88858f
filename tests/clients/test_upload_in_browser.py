"""The upload panel in a real browser: chosen and dropped, paused, reloaded, cut off, refused."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.access_log import errors_in
from tests.clients.browsers import axe_faults, console_of, opened_page
from tests.clients.programs import wait_until
from tests.known_tokens import revoke, token_for
from tests.running_server import RunningServer, free_port, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request

MIB = 1 << 20
PARTLY = re.compile("^[1-6][0-9] % of")
# Of LARGE_BYTES: a tenth comes soon, and the rest leaves time enough to do something meanwhile.
SLOW_BYTES_PER_SECOND = MIB // 4
LARGE_BYTES = 8 * MIB
ODD_NAME = 'it\'s "odd" <b>#?&100% \N{HEBREW LETTER ALEF}.txt'


@dataclass(frozen=True)
class Place:
    """A writable server of a folder, and the secret of a token for all of it."""

    server: RunningServer
    root: Path
    writer: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("taking") / "root"
    root.mkdir()
    writer = token_for(root)
    with running_server(root, "--writable") as server:
        yield Place(server, root, writer)
        assert errors_in(server) == []


@pytest.fixture
def folder(place: Place, request: pytest.FixtureRequest) -> Path:
    """A folder of the test's own, with one file in it."""
    made = place.root / request.node.name.partition("[")[0]
    made.mkdir()
    (made / "old.txt").write_text("old")
    return made


@pytest.fixture
def page(browser: "Browser", place: Place, folder: Path) -> Iterator["Page"]:
    """The page of that folder, opened by a writer."""
    with opened_page(browser) as page:
        enter(page, place, f"{folder.name}/")
        yield page


def enter(page: "Page", place: Place, path: str) -> None:
    page.goto(f"{place.server.url}-/login?next=/{path}")
    page.get_by_label("Token").fill(place.writer)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("#upload")


def choose(page: "Page", *files: Path | dict[str, object]) -> None:
    await_panel(page)
    page.locator("#files").set_input_files([*files])  # type: ignore[list-item]


def await_panel(page: "Page") -> None:
    """Its script is loaded for writers only, after the page's own."""
    page.wait_for_selector("#upload.ready", state="attached")


def file_of(name: str, content: bytes = b"new") -> dict[str, object]:
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


def told(page: "Page", words: str) -> None:
    page.locator("#upload-status", has_text=words).wait_for()


def slow_down(page: "Page", bytes_per_second: int) -> None:
    """What the page sends goes at that rate from now on; -1 is as fast as it can."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
    session.send(
        "Network.emulateNetworkConditions", {**limits, "uploadThroughput": bytes_per_second}
    )


def test_chosen_files_arrive_and_are_listed(page: "Page", folder: Path) -> None:
    said = console_of(page)
    page.locator("#upload summary").click()
    choose(
        page,
        file_of(ODD_NAME, b"odd"),
        file_of("b.bin", os.urandom(3 * MIB)),
        file_of("empty", b""),
    )
    told(page, "3 files uploaded")
    assert (folder / ODD_NAME).read_bytes() == b"odd"
    assert (folder / "b.bin").stat().st_size == 3 * MIB
    assert (folder / "empty").read_bytes() == b""
    page.locator("tbody tr", has_text=ODD_NAME).wait_for()
    page.locator("main > .totals", has_text=re.compile("^4 files, 3[.]0 MiB$")).wait_for()
    page.locator(".whole-size", has_text="3.0 MiB").wait_for()
    assert axe_faults(page) == []
    assert said == []


def test_a_folder_arrives_with_what_is_below_it(page: "Page", folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "a.txt").write_text("a")
    (tmp_path / "tree" / "deep" / "b.txt").write_text("b")
    page.locator("#upload summary").click()
    await_panel(page)
    page.locator("#folder").set_input_files(tmp_path / "tree")
    told(page, "2 files uploaded")
    assert (folder / "tree" / "a.txt").read_text() == "a"
    assert (folder / "tree" / "deep" / "b.txt").read_text() == "b"
    page.locator("tbody tr.folder", has_text="tree").wait_for()


def test_files_and_folders_are_dropped_on_the_page(
    page: "Page", folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    for number in range(120):
        (tmp_path / "tree" / "deep" / f"{number}.txt").write_text(str(number))
    (tmp_path / "single.txt").write_text("single")
    await_panel(page)
    session = page.context.new_cdp_session(page)
    paths = [str(tmp_path / "tree"), str(tmp_path / "single.txt")]
    brought = {"items": [], "files": paths, "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": brought})
        if kind == "dragOver":
            page.locator("body.dropping").wait_for()
    told(page, "121 files uploaded")
    page.locator("body.dropping").wait_for(state="detached")
    assert (folder / "single.txt").read_text() == "single"
    kept = {path.name: path.read_text() for path in (folder / "tree" / "deep").iterdir()}
    assert kept == {f"{number}.txt": str(number) for number in range(120)}


def test_an_upload_goes_on_after_a_pause_and_a_reload(
    page: "Page", folder: Path, tmp_path: Path
) -> None:
    content = os.urandom(LARGE_BYTES)
    (tmp_path / "large.bin").write_bytes(content)
    page.locator("#upload summary").click()
    slow_down(page, SLOW_BYTES_PER_SECOND)
    choose(page, tmp_path / "large.bin")
    page.locator("#uploads .words", has_text=PARTLY).wait_for()
    page.get_by_role("button", name="Pause: large.bin").click()
    page.locator("#uploads .words", has_text="Paused at").wait_for()
    assert not (folder / "large.bin").exists()
    page.reload()
    page.locator("#unfinished", has_text="large.bin (8.0 MiB)").wait_for()
    assert axe_faults(page) == []
    offsets: list[int] = []
    page.on("request", lambda request: offsets.extend(offset_of(request)))
    choose(page, tmp_path / "large.bin")
    # It has a row again: discarding it here, too, would pull it from under its own feet.
    assert page.locator("#unfinished").is_hidden()
    slow_down(page, -1)
    told(page, "1 file uploaded")
    assert offsets[0] > 0
    assert (folder / "large.bin").read_bytes() == content


def offset_of(request: "Request") -> list[int]:
    return [int(request.headers["upload-offset"])] if request.method == "PATCH" else []


def test_an_upload_survives_the_death_of_the_server(
    browser: "Browser", tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("mortal") / "root"
    root.mkdir()
    writer, content = token_for(root), os.urandom(LARGE_BYTES)
    (tmp_path / "large.bin").write_bytes(content)
    port = ("--port", str(free_port()))
    with opened_page(browser) as page:
        with running_server(root, "--writable", *port) as server:
            enter(page, Place(server, root, writer), "")
            page.locator("#upload summary").click()
            slow_down(page, SLOW_BYTES_PER_SECOND)
            choose(page, tmp_path / "large.bin")
            page.locator("#uploads .words", has_text=PARTLY).wait_for()
            server.kill()
            page.locator("#uploads .words", has_text="trying again").wait_for()
        slow_down(page, -1)
        with running_server(root, "--writable", *port):
            told(page, "1 file uploaded")
    assert (root / "large.bin").read_bytes() == content


def test_a_name_that_is_taken_is_replaced_only_when_asked(page: "Page", folder: Path) -> None:
    page.locator("#upload summary").click()
    choose(page, file_of("old.txt", b"new"))
    page.locator("#uploads .failed", has_text="this name already").wait_for()
    assert (folder / "old.txt").read_text() == "old"
    page.get_by_role("button", name="Replace: old.txt").click()
    told(page, "1 file uploaded")
    assert (folder / "old.txt").read_text() == "new"
    page.locator("#replace").check()
    choose(page, file_of("old.txt", b"newer"))
    wait_until(lambda: (folder / "old.txt").read_text() == "newer", "the replacement")


def test_a_session_that_ended_is_told_and_the_upload_can_go_on(
    browser: "Browser", place: Place, folder: Path
) -> None:
    secret = token_for(place.root, name="short-lived")
    with opened_page(browser) as page:
        # The server looks for new tokens each second.
        asked = page.context.request
        shown = {"Authorization": f"Bearer {secret}"}
        uploads = f"http://127.0.0.1:{place.server.port}/-/uploads/"
        wait_until(lambda: asked.get(uploads, headers=shown).status != 401, "the new token")
        enter(page, Place(place.server, place.root, secret), f"{folder.name}/")
        revoke(place.root, "short-lived")
        reading = page.context.request
        url = page.url
        wait_until(lambda: "Log in" in reading.get(url).text(), "the end of the session")
        page.locator("#upload summary").click()
        choose(page, file_of("late.txt"))
        page.locator("#uploads .failed", has_text="not logged in any more").wait_for()
        with page.context.expect_page() as opening:
            page.get_by_role("button", name="Log in: late.txt").click()
        other = opening.value
        other.get_by_label("Token").fill(place.writer)
        other.get_by_role("button", name="Log in").click()
        other.get_by_text("Logged in as").wait_for()
        page.get_by_role("button", name="Try again: late.txt").click()
        told(page, "1 file uploaded")
    assert (folder / "late.txt").read_text() == "new"


def test_a_file_that_changed_since_it_was_chosen_is_told(
    page: "Page", folder: Path, tmp_path: Path
) -> None:
    chosen = tmp_path / "chosen.bin"
    chosen.write_bytes(bytes(3 * MIB))
    page.locator("#upload summary").click()
    slow_down(page, 1)
    choose(page, chosen)
    page.get_by_role("button", name="Pause: chosen.bin").click()
    chosen.write_bytes(b"something else")
    slow_down(page, -1)
    page.get_by_role("button", name="Go on: chosen.bin").click()
    told(page, "was changed or removed meanwhile")
    assert not (folder / "chosen.bin").exists()


def test_everything_goes_by_keyboard(page: "Page", folder: Path) -> None:
    # From the beginning, since Playwright takes choosers over later than it says on a busy machine.
    page.on("filechooser", lambda _: None)
    await_panel(page)
    page.locator("#upload summary").focus()
    page.keyboard.press("Enter")
    page.locator("#choose-files").wait_for()
    page.keyboard.press("Tab")
    page.wait_for_function("document.activeElement.id === 'choose-files'")
    with page.expect_file_chooser() as choosing:
        page.keyboard.press("Enter")
    choosing.value.set_files([file_of("old.txt"), file_of("b.txt")])  # type: ignore[list-item]
    told(page, "1 file uploaded, 1 failed")
    page.get_by_role("button", name="Replace: old.txt").focus()
    page.keyboard.press("Enter")
    told(page, "2 files uploaded")
    page.wait_for_function("document.activeElement.id === 'uploads'")
    assert (folder / "old.txt").read_text() == "new"


def test_a_plain_form_uploads_without_scripts(
    browser: "Browser", place: Place, folder: Path
) -> None:
    with opened_page(browser, java_script_enabled=False) as page:
        enter(page, place, f"{folder.name}/")
        page.locator("#upload summary").click()
        assert not page.get_by_role("button", name="Choose files").is_visible()
        for content in (b"first", b"second"):
            page.locator("input[name=replace]").check()
            page.locator("input[name=file]").set_input_files([file_of(ODD_NAME, content)])  # type: ignore[list-item]
            with page.expect_navigation(url=f"**/{folder.name}/"):
                page.get_by_role("button", name="Upload").click()
            page.locator("#upload summary").click()
            assert (folder / ODD_NAME).read_bytes() == content
        page.locator("input[name=file]").set_input_files([file_of(ODD_NAME)])  # type: ignore[list-item]
        page.get_by_role("button", name="Upload").click()
        page.get_by_text("409").wait_for()
        assert (folder / ODD_NAME).read_bytes() == b"second"


def test_files_are_renamed_moved_and_deleted_from_their_menu(page: "Page", folder: Path) -> None:
    (folder / "full" / "inner").mkdir(parents=True)
    page.reload()
    do(page, "old.txt", "Rename")
    page.get_by_label("New name").fill(ODD_NAME)
    page.keyboard.press("Enter")
    page.locator("tbody tr", has_text=ODD_NAME).wait_for()
    do(page, ODD_NAME, "Rename")
    page.get_by_label("New name").fill("full/in.txt")
    page.keyboard.press("Enter")
    page.locator("tbody tr", has_text=ODD_NAME).wait_for(state="detached")
    assert (folder / "full" / "in.txt").read_text() == "old"
    do(page, "full", "Delete")
    assert axe_faults(page) == []
    page.locator("dialog").get_by_role("button", name="Delete").click()
    page.locator("dialog", has_text="not empty").wait_for()
    page.keyboard.press("Escape")
    assert (folder / "full" / "in.txt").exists()
    do(page, "full", "Delete")
    for _ in range(2):
        page.locator("dialog").get_by_role("button", name="Delete").click()
    page.get_by_text("This folder is empty.").wait_for()
    assert not (folder / "full").exists()


def do(page: "Page", name: str, deed: str) -> None:
    page.locator("tbody tr", has_text=name).locator(".more").click()
    page.get_by_role("button", name=deed).click()
    page.locator("dialog[open]").wait_for()
