"""Headless Chromium for tests of pages: Debian's, driven by Playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (Debian: apt-get install chromium)"
)
"""Mark of tests that open a page; they are slow, too."""

_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
)
"""Flags that keep Chromium from the internet, and give it a microphone that beeps."""


@dataclass
class Visit:
    """A page in the browser, with what went wrong on it."""

    page: "Page"
    errors: list[str] = field(default_factory=list)
    """Errors and warnings of the console, and exceptions of scripts."""
    requests: list[str] = field(default_factory=list)
    """Addresses of everything that was requested."""

    def hosts(self) -> set[str]:
        """Return the hosts that were asked for something, such as `127.0.0.1:8000`."""
        web = (address for address in self.requests if address.startswith(("http", "ws")))
        return {address.split("/")[2] for address in web}


@contextmanager
def visit(
    address: str, *, width: int = 1200, height: int = 900, **context: object
) -> Iterator[Visit]:
    """Open an address in a new browser.

    Args:
        address: Address to open, such as `file:///tmp/report.html`.
        width: Width of the window in CSS pixels.
        height: Height of the window.
        **context: Further settings of Playwright's `new_context`, such as `color_scheme="dark"` or
            `java_script_enabled=False`.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        page = browser.new_context(
            viewport={"width": width, "height": height}, **context
        ).new_page()
        visited = Visit(page)
        page.on(
            "console",
            lambda message: (
                visited.errors.append(message.text)
                if message.type in ("error", "warning")
                else None
            ),
        )
        page.on("pageerror", lambda error: visited.errors.append(str(error)))
        page.on("request", lambda request: visited.requests.append(request.url))
        page.goto(address)
        yield visited
        browser.close()
