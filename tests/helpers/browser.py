"""A headless Chromium for tests of pages, where there is one."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Without these a browser asks the network for news of its own at every start.
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def needs_browser() -> None:
    """Skip a test where no Chromium is installed; fail it where GRAMMASK_BROWSER says that one must be."""
    if CHROMIUM is None:
        if os.environ.get("GRAMMASK_BROWSER"):
            pytest.fail("GRAMMASK_BROWSER is set, but no chromium is installed")
        pytest.skip("no chromium is installed (Debian: apt-get install chromium)")


class Seen:
    """A page in the browser, and what it said and asked for: console lines, errors, requests."""

    def __init__(self, browser, path: Path, *, width: int, dark: bool) -> None:
        self.messages: list[str] = []
        self.requests: list[str] = []
        context = browser.new_context(
            color_scheme="dark" if dark else "light", viewport={"width": width, "height": 900}
        )
        self.page = context.new_page()
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def arcs(self) -> int:
        """Return how many arcs can be seen."""
        return self.page.locator(".displacy-arrow:visible").count()


@contextmanager
def chromium() -> Iterator[object]:
    """Start the browser; see `needs_browser`."""
    needs_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        yield browser
        browser.close()
