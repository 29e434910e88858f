"""Debian's Chromium for the tests of pages: started once, judged by what it says."""

import contextlib
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tests.clients.programs import not_tested, require

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    # Else a page that nobody clicked may not play, and a test cannot click as a person does.
    "--autoplay-policy=no-user-gesture-required",
]
# Milliseconds, as Playwright counts.
PATIENCE = 120_000
_AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDTHS = (360, 768, 1280)
SCHEMES = ("light", "dark")


@contextlib.contextmanager
def launched_chromium() -> Iterator["Browser"]:
    """The browser; a loud skip where it, or what drives it, is not installed."""
    require("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        not_tested("the Python package playwright is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=_FLAGS, timeout=PATIENCE
        )
        yield browser
        browser.close()


@contextlib.contextmanager
def opened_page(browser: "Browser", width: int = 1280, **settings: Any) -> Iterator["Page"]:
    """A page of its own in a window of that width; settings are those of a browser context."""
    settings = {"viewport": {"width": width, "height": 800}, "reduced_motion": "reduce"} | settings
    with contextlib.closing(browser.new_context(**settings)) as context:
        context.set_default_timeout(PATIENCE)
        yield context.new_page()


def console_of(page: "Page") -> list[str]:
    """What the browser says about the page from now on: messages, errors, refused loads.

    A script, style or source that the policy forbids is among the messages.
    """
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def axe_faults(page: "Page") -> list[str]:
    """What axe-core finds against WCAG 2.2 AA and good practice, a line for each element."""
    try:
        from axe_playwright_python.sync_playwright import Axe
    except ImportError:
        not_tested("the Python package axe-playwright-python is not installed")
    # Evaluated by the driver, not loaded by the page: the policy of the page stays as it is.
    found = Axe().run(page, options={"runOnly": _AXE_TAGS})
    return [
        f"{violation['id']}: {node['html']} {node.get('failureSummary', '')}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]
