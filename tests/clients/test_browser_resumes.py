"""A browser goes on with a download whose server was killed, to the right bytes in the end."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients.browsers import opened_page
from tests.clients.patient_proxy import patient_proxy
from tests.clients.programs import wait_until
from tests.clients.samples import MIB, sha256_of, write_random
from tests.running_server import free_port, running_server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SIZE = 48 * MIB
# Slow enough to be killed in the middle, fast enough to wait for.
BYTES_PER_SECOND = 16 * MIB


@pytest.mark.parametrize(
    ("link", "saved_as"), [("data.bin", "data.bin"), ("Download folder", ".zip")]
)
def test_a_download_goes_on_after_its_server_was_killed(
    browser: "Browser", tmp_path: Path, link: str, saved_as: str
) -> None:
    root, got = tmp_path / "root", tmp_path / "got"
    root.mkdir()
    sha256 = write_random(root / "data.bin", SIZE)
    port = ("--port", str(free_port()))
    with (
        running_server(root, *port) as first,
        patient_proxy(first.port, bytes_per_second=BYTES_PER_SECOND) as proxy,
        opened_page(browser, accept_downloads=True) as page,
    ):
        page.goto(f"http://127.0.0.1:{proxy.port}/")
        with page.expect_download() as waiting:
            page.get_by_role("link", name=link, exact=False).first.click()
        wait_until(lambda: proxy.received > SIZE // 3, "a third of it")
        first.kill()
        with running_server(root, *port):
            wait_until(lambda: proxy.received >= SIZE, "the rest of it")
            waiting.value.save_as(got)
    assert waiting.value.suggested_filename.endswith(saved_as)
    # It went on; a browser that began anew would have taken a third more.
    assert proxy.received < SIZE * 1.2
    if saved_as == ".zip":
        with zipfile.ZipFile(got) as archive:
            assert archive.testzip() is None
            member = next(name for name in archive.namelist() if name.endswith("data.bin"))
            got = Path(archive.extract(member, tmp_path / "extracted"))
    assert sha256_of(got) == sha256
