"""The page in a real browser: Debian's Chromium without a window."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.programs import program
from tests.serving.page.browser import SLOW_MS, Watch, settle

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser for the tests of one file; while it runs, its thread belongs to Playwright's event loop."""
    path = program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, client: httpx.Client) -> Iterator[Visit]:
    """A function: the page with a state such as `tiles=r64&seed=7`, drawn; keywords are the browser's.

    The test fails where the page complains in the console, other than as `expected`, or asks another origin.
    """
    contexts: list[BrowserContext] = []
    watches: list[Watch] = []

    def open_page(state: str = "", of: httpx.Client = client, expected: tuple[str, ...] = (), **options: Any) -> Page:
        base_url = str(of.base_url).rstrip("/")
        context = chromium.new_context(base_url=base_url, **options)
        contexts.append(context)
        watches.append(Watch(base_url, expected))
        context.set_default_timeout(SLOW_MS)
        page = context.new_page()
        watches[-1].follow(page)
        page.goto(f"{base_url}/#{state}")
        settle(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [complaint for watch in watches for complaint in watch.complaints] == []
