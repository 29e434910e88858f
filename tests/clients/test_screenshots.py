"""Makes the pictures in docs/img anew: FILESERVE_SCREENSHOTS=1 python -m pytest THIS_FILE."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.browsers import SCHEMES, WIDTHS, opened_page
from tests.clients.programs import finish, require
from tests.clients.samples import write_sparse
from tests.known_tokens import token_for
from tests.running_server import REPOSITORY, RunningServer, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.skipif(
    os.environ.get("FILESERVE_SCREENSHOTS") != "1", reason="FILESERVE_SCREENSHOTS is not 1"
)

_IMAGES = REPOSITORY / "docs" / "img"
_HEIGHTS = {360: 760, 768: 800, 1280: 800}
_MIB = 1 << 20
FOLDERS = ("Lectures", "Photos", "Raw data")
FILES = {
    "Field recording.flac": 412,
    "Interview.mp4": 1840,
    "Lecture 1 - Ranges and validators.mp4": 2760,
    "Lecture 2 - Sending files without copying them.mp4": 3120,
    "debian-13.2.0-amd64-netinst.iso": 747,
    "handbook.pdf": 5,
    "measurements-2026.parquet": 58_460,
    "measurements-2026.tar.zst": 11_830,
    "plan of the site.png": 2,
    "تقرير سنوي.pdf": 1,
}
README = """# Measurements 2026

Raw data of the autumn campaign, recorded at 200 Hz. Every file can be downloaded in parts and
continued later; compare it with the [checksums](?manifest=sha256).

1. Read `handbook.pdf` first.
2. Questions? Write to [the laboratory](mailto:lab@example.org).
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("ffmpeg")
    root = tmp_path_factory.mktemp("root")
    began = datetime(2026, 10, 4, 9, 30, tzinfo=UTC).timestamp()
    for name in FOLDERS:
        (root / name).mkdir()
    for name, mebibytes in FILES.items():
        write_sparse(root / name, mebibytes * _MIB)
    (root / "README.md").write_text(README)
    film = root / "Lecture 1 - Ranges and validators.mp4"
    picture = "gradients=size=1280x720:speed=0.01:c0=0x10303f:c1=0x2f6f8f:c2=0x8cc8de:duration=60"
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", picture]
    options = ("-c:v", "libx264", "-preset", "ultrafast", "-movflags", "+faststart")
    assert finish([*command, *options, film]).returncode == 0
    os.truncate(film, FILES[film.name] * _MIB)
    for number, name in enumerate(sorted(os.listdir(root))):
        os.utime(root / name, times=(began, began + number * 97_531))
    return root


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[RunningServer]:
    with running_server(root) as server:
        yield server


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_picture_of_the_listing(
    browser: "Browser", server: RunningServer, width: int, scheme: str
) -> None:
    with opened_page(browser, width, color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": _HEIGHTS[width]})
        page.goto(server.url, wait_until="networkidle")
        page.screenshot(path=_IMAGES / f"listing-{width}-{scheme}.png")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_picture_of_the_menu(browser: "Browser", server: RunningServer, scheme: str) -> None:
    with opened_page(browser, color_scheme=scheme) as page:
        page.goto(server.url, wait_until="networkidle")
        page.locator("tr", has_text="Interview").locator(".more").click()
        page.screenshot(path=_IMAGES / f"menu-1280-{scheme}.png")


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_picture_of_the_player(
    browser: "Browser", server: RunningServer, width: int, scheme: str
) -> None:
    with opened_page(browser, width, color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": _HEIGHTS[width]})
        page.goto(f"{server.url}Lecture%201%20-%20Ranges%20and%20validators.mp4?view")
        page.evaluate(
            "new Promise(done => { media.onseeked = () => done(); media.currentTime = 20; })"
        )
        page.wait_for_timeout(500)
        page.screenshot(path=_IMAGES / f"player-{width}-{scheme}.png")


@pytest.fixture(scope="module")
def taking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, str]]:
    """A writable server, and the secret of a token."""
    root = tmp_path_factory.mktemp("taking") / "root"
    (root / "Lectures").mkdir(parents=True)
    write_sparse(root / "handbook.pdf", 5 * _MIB)
    write_sparse(root / "plan of the site.png", 2 * _MIB)
    secret = token_for(root, name="anna")
    with running_server(root, "--writable") as server:
        yield server, secret


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", [360, 1280])
def test_picture_of_uploads(
    browser: "Browser",
    taking: tuple[RunningServer, str],
    tmp_path: Path,
    width: int,
    scheme: str,
) -> None:
    server, secret = taking
    write_sparse(tmp_path / "Interview.mp4", 40 * _MIB)
    write_sparse(tmp_path / "handbook.pdf", 5 * _MIB)
    (tmp_path / f"notes {width} {scheme}.txt").write_text("words " * 2_000)
    with opened_page(browser, width, color_scheme=scheme) as page:
        page.set_viewport_size({"width": width, "height": _HEIGHTS[width]})
        page.goto(f"{server.url}-/login?next=/")
        page.get_by_label("Token").fill(secret)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_selector("#upload.ready", state="attached")
        page.locator("#upload summary").click()
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        limits = {"offline": False, "latency": 0, "downloadThroughput": -1}
        rate = {**limits, "uploadThroughput": 4 * _MIB}
        session.send("Network.emulateNetworkConditions", rate)
        page.locator("#files").set_input_files(sorted(tmp_path.iterdir()))
        page.locator("#uploads .words", has_text="left").wait_for()
        page.wait_for_timeout(2_000)
        page.screenshot(path=_IMAGES / f"uploads-{width}-{scheme}.png")
        page.get_by_role("button", name="Remove: Interview.mp4").click()
        page.wait_for_timeout(500)
