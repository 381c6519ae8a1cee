"""The page behind the shipped nginx: its headers leave the page what it needs."""

from collections.abc import Callable, Iterator

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page

from tests.serving.page.browser import pixels, tile_png
from tests.serving.proxied import asked_through

Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def through(client: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the tests' service through nginx."""
    with asked_through(client, tmp_path_factory.mktemp("nginx")) as asked:
        yield asked


def test_the_page_works_behind_the_proxy(visit: Visit, through: httpx.Client) -> None:
    """A style, script or tile that a header forbids would be a complaint."""
    page = visit("tiles=r64&seed=5&n=4", of=through)
    images = page.locator("#grid img")
    assert images.count() == 4
    np.testing.assert_array_equal(pixels(images.nth(2)), tile_png(through, "r64", 5, index=2))
