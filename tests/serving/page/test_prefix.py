"""The page and the OpenAPI document below a path, as a proxy that serves several services gives them."""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urljoin

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.serving.page.browser import choose, pixels, tile_png
from tests.serving.proxied import asked_through

Visit = Callable[..., Page]
BELOW = {"location / {\n": "location /sky/ {\n            rewrite ^/sky(/.*)$ $1 break;\n"}


@pytest.fixture(scope="module")
def below(client: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the tests' service below /sky of the shipped nginx."""
    with asked_through(client, tmp_path_factory.mktemp("nginx"), BELOW, "/sky") as through:
        yield through


def test_the_page_works_below_a_path(visit: Visit, below: httpx.Client) -> None:
    """Its styles, scripts, tiles and real tiles: a request beside the path would be a complaint."""
    page = visit("tiles=r64&seed=5&n=4", of=below)
    images = page.locator("#grid img")
    assert images.count() == 4
    np.testing.assert_array_equal(pixels(images.nth(2)), tile_png(below, "r64", 5, index=2))
    choose(page, "tiles", "gri128")
    expect(page.locator("#grid img").first).to_be_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "flex"
    links = page.locator("a[href]").evaluate_all("links => links.map(link => link.href)")
    assert [link for link in links if not link.startswith((str(below.base_url), "https://www.sdss.org/"))] == []


def test_the_document_leads_to_the_routes_below_a_path(below: httpx.Client) -> None:
    document = below.get("/docs.json")
    [server] = document.json()["servers"]
    for path in ("/v1/models", "/v1/real/r64"):
        assert path.replace("r64", "{tiles}") in document.json()["paths"]
        address = urljoin(str(document.url), server["url"].rstrip("/") + path)
        assert address.startswith(str(below.base_url))
        assert httpx.get(address).status_code == 200


def test_no_file_of_the_page_names_an_address_from_the_root(client: httpx.Client) -> None:
    index = client.get("/").text
    scripts = [client.get(f"/page/{name}").text for name in re.findall(r"[\w]+\.js", index)]
    assert scripts
    for text in (index, *scripts):
        assert not re.search(r"""["'`(]/(v1|page|docs)""", text)
