"""Tiles on the page: choosing them and looking at one."""

import re
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.serving.page.browser import choose, fill, pixels, settle, state_of, tile_png

Visit = Callable[..., Page]

BEYOND_DOUBLES = 2**53 + 1


def test_the_grid_shows_the_tiles_of_the_seed(visit: Visit, client: httpx.Client) -> None:
    page = visit("tiles=r64&seed=5&n=4")
    images = page.locator("#grid img")
    assert images.count() == 4
    for index in range(4):
        assert images.nth(index).get_attribute("alt") == f"Tile {index} of seed 5, improved"
        np.testing.assert_array_equal(pixels(images.nth(index)), tile_png(client, "r64", 5, index=index))
    expect(page.locator("#status")).to_have_text("4 tiles of seed 5, r64 improved")


def test_choosing_set_recipe_seed_and_number_of_tiles(visit: Visit, client: httpx.Client) -> None:
    page = visit("tiles=gri128&n=4")
    choose(page, "tiles", "r64")
    page.locator("#model").select_option("gan")
    fill(page, "seed", f" {BEYOND_DOUBLES:_} ")
    choose(page, "n", "16")
    assert state_of(page) == {"tiles": "r64", "n": "16", "model": "gan", "seed": str(BEYOND_DOUBLES)}
    images = page.locator("#grid img")
    assert images.count() == 16
    wanted = tile_png(client, "r64", BEYOND_DOUBLES, index=15, model="gan")
    np.testing.assert_array_equal(pixels(images.nth(15)), wanted)


def test_the_buttons_beside_the_seed(visit: Visit) -> None:
    page = visit(f"tiles=r64&n=4&seed={2**63 - 1}")
    page.locator("#seed-up").click()
    assert state_of(page)["seed"] == "0"
    page.locator("#seed-down").click()
    assert state_of(page)["seed"] == str(2**63 - 1)
    page.locator("#seed-any").click()
    settle(page)
    assert page.locator("#seed").input_value() == state_of(page)["seed"] != str(2**63 - 1)


def test_choosing_noise_and_seeing_of_a_scene(visit: Visit, client: httpx.Client) -> None:
    page = visit("tiles=gri128&model=scene&seed=3&n=4")
    image = page.locator("#grid img").first
    shown = {"survey": pixels(image)}
    choose(page, "noise", "none")
    shown["none"] = pixels(image)
    choose(page, "noise", "level")
    fill(page, "noise-level", "0.5")
    shown["0.5"] = pixels(image)
    for noise, found in shown.items():
        np.testing.assert_array_equal(found, tile_png(client, "gri128", 3, model="scene", noise=noise))
    assert len({found.tobytes() for found in shown.values()}) == 3
    choose(page, "seeing", "level")
    fill(page, "seeing-level", "2.5")
    wanted = tile_png(client, "gri128", 3, model="scene", noise=0.5, seeing=2.5)
    np.testing.assert_array_equal(pixels(image), wanted)
    assert state_of(page)["seeing"] == "2.5"


def test_a_recipe_that_paints_its_noise_says_so(visit: Visit) -> None:
    page = visit("tiles=gri128&model=gan&n=4&noise=none")
    assert page.locator("#noise-field input").first.is_disabled()
    assert page.locator("#seeing-field input").first.is_disabled()
    expect(page.locator("#painted")).to_have_text("Recipe gan paints its own noise and seeing, as in the survey.")
    page.locator("#model").select_option("scene")
    settle(page)
    assert page.locator("#noise-field input").first.is_enabled()
    assert page.locator("#painted").is_hidden()


def test_the_card_of_the_model(visit: Visit, client: httpx.Client) -> None:
    page = visit("tiles=r64&model=gan&n=4")
    page.locator("#about summary").click()
    (card,) = [
        card for card in client.get("/v1/models").json()["models"] if (card["tiles"], card["recipe"]) == ("r64", "gan")
    ]
    for fact in (card["sha256"], card["data_hash"], "2026-11-23"):
        assert fact in page.locator("#card").inner_text()


def test_the_numbers_of_a_tile(visit: Visit, client: httpx.Client) -> None:
    query: dict[str, str | float] = {"index": 2, "model": "scene", "noise": 0.005}
    measured = client.get("/v1/measure/gri128/8", params=query).json()
    assert measured["sources"], "the test needs a tile with a source"
    page = visit("tiles=gri128&model=scene&seed=8&n=4&noise=0.005")
    page.get_by_role("button", name="Tile 2 of seed 8").click()
    settle(page)
    dialog = page.locator("#tile")
    assert dialog.locator("h2").inner_text() == "Tile 2 of seed 8"
    np.testing.assert_array_equal(pixels(dialog.locator("img")), tile_png(client, "gri128", 8, **query))
    assert f"{measured['sky_noise_nmgy']['i']:.3g} nmgy" in dialog.inner_text().replace("\n", " ")
    rows = dialog.locator("tbody tr")
    assert rows.count() == len(measured["sources"]) == dialog.locator("circle").count()
    brightest = min(measured["sources"], key=lambda source: source["magnitude"])
    assert rows.first.locator("td").first.inner_text() == f"{brightest['magnitude']:.2f}"
    ring = dialog.locator("circle").first
    assert float(ring.get_attribute("cx") or 0) == pytest.approx(brightest["x"] + 0.5)
    assert float(ring.get_attribute("cy") or 0) == pytest.approx(128 - 0.5 - brightest["y"])
    rows.first.hover()
    expect(ring).to_have_class("marked")


def test_the_histogram_draws_every_count(visit: Visit, client: httpx.Client) -> None:
    flux = client.get("/v1/measure/gri128/8", params={"model": "gan"}).json()["flux"]
    page = visit("tiles=gri128&model=gan&seed=8&n=4&tile=0")
    for band, counts in flux["counts"].items():
        outline = page.locator(f"path.band-{band}").get_attribute("d") or ""
        heights = [float(step.split("H")[0]) for step in outline.split("V")[1:-1]]
        assert len(heights) == len(counts)
        assert np.argmin(heights) == np.argmax(counts)  # SVG counts from the top
        assert [height == max(heights) for height in heights] == [count == 0 for count in counts]
    said = page.locator("svg.histogram").get_attribute("aria-label") or ""
    assert said.startswith("Histogram of flux. g: most pixels near ")


def test_the_dialog_goes_on_closes_and_comes_back(visit: Visit) -> None:
    page = visit("tiles=r64&n=4")
    page.locator("#grid button").first.click()
    settle(page)
    assert page.locator("#tile-previous").is_disabled()
    page.locator("#tile-next").click()
    settle(page)
    expect(page.locator("#tile-title")).to_have_text("Tile 1 of seed 7")
    page.locator("#tile-circles").uncheck()
    assert page.locator("#tile-picture svg").is_hidden()
    page.locator("#tile-close").click()
    expect(page.locator("#tile")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("tile="))
    page.go_back()
    expect(page.locator("#tile")).to_be_visible()
    page.go_back()
    expect(page.locator("#tile")).to_be_hidden()


def test_the_address_shares_the_view(visit: Visit) -> None:
    state = "tiles=gri128&model=scene&seed=9&noise=0.01&seeing=1.5&n=4"
    page = visit(state)
    assert page.locator("#noise-level").input_value() == "0.01"
    assert page.locator("#seeing-level").input_value() == "1.5"
    fill(page, "seed", "10")
    page.go_back()
    expect(page.locator("#seed")).to_have_value("9")
    expect(page.locator("#grid img").first).to_have_attribute("alt", "Tile 0 of seed 9, scene")


def test_tiles_are_kept_for_ever(visit: Visit, client: httpx.Client) -> None:
    """The bundle's hash is in their addresses, so that a browser asks for a tile once."""
    page = visit("tiles=r64&n=4")
    with page.expect_response("**/v1/tile/r64/6.png**index=3**") as answer:
        fill(page, "seed", "6")
    assert "immutable" in answer.value.headers["cache-control"]
    (champion,) = [
        card for card in client.get("/v1/models").json()["models"] if card["champion"] and card["size"] == 64
    ]
    assert f"version={champion['sha256']}" in answer.value.url
