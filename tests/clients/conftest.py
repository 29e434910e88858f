"""What the tests with real programs share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.clients.browsers import launched_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium, for one file: while it runs, the thread has a loop and asyncio.run() fails."""
    with launched_chromium() as browser:
        yield browser
