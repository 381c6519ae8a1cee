"""The other views: recipes side by side, the walk, and which is real."""

import math
import re
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.serving.page.browser import SLOW_MS, choose, decoded, fill, pixels, settle, state_of, tile_png

Visit = Callable[..., Page]


def test_recipes_side_by_side_with_real_tiles(visit: Visit, client: httpx.Client) -> None:
    page = visit("tiles=r64&n=4")
    page.get_by_role("link", name="Recipes").click()
    settle(page)
    blocks = page.locator("#recipes .block")
    assert [title.splitlines()[0] for title in blocks.locator("h2").all_inner_texts()] == ["gan", "improved", "real"]
    for place, recipe in enumerate(["gan", "improved"]):
        shown = pixels(blocks.nth(place).locator("img").nth(1))
        np.testing.assert_array_equal(shown, tile_png(client, "r64", 7, index=1, model=recipe))
    real = decoded(client.get(f"/v1/real/r64/{(7 * 4 + 1) % 5}.png").content)
    np.testing.assert_array_equal(pixels(blocks.nth(2).locator("img").nth(1)), real)
    blocks.nth(0).locator("button").nth(1).click()
    settle(page)
    expect(page.locator("#tile img")).to_have_attribute("alt", "Tile 1 of seed 7, gan, enlarged")


def test_a_walk_shows_the_steps_that_the_service_draws(visit: Visit, client: httpx.Client) -> None:
    page = visit("view=walk&tiles=r64&model=gan&seed=1&to=2&steps=9")
    body = {"tiles": "r64", "model": "gan", "seed": 1, "to": 2, "steps": 9, "format": "png"}
    sheet = decoded(client.post("/v1/interpolate", json=body).content)
    for step in (0, 4, 8):
        page.locator("#walk-step").fill(str(step))
        top, left = (step // 3) * 66, (step % 3) * 66
        shown = pixels(page.locator("#walk-tile"))
        np.testing.assert_array_equal(shown, sheet[top : top + 64, left : left + 64])
        expect(page.locator("#walk-place")).to_have_text(f"{step + 1} / 9")
    np.testing.assert_array_equal(pixels(page.locator("#walk-tile")), tile_png(client, "r64", 2, model="gan"))


def test_a_walk_goes_where_one_says(visit: Visit) -> None:
    page = visit("view=walk&tiles=r64&seed=1&to=2&steps=9")
    fill(page, "to", "12345678901234567890")
    expect(page.locator("#to-wrong")).to_have_text(f"a whole number from 0 to {2**63 - 1}")
    fill(page, "to", "6")
    choose(page, "steps", "17")
    assert page.locator("#walk-tile").get_attribute("aria-label") == "Step 1 of 17 from seed 1 to seed 6"
    strip = page.locator("#walk-strip").bounding_box()
    assert strip
    page.locator("#walk-strip").click(position={"x": strip["width"] * 0.99, "y": 5})
    assert state_of(page)["step"] == "16"
    expect(page.locator("#walk-step")).to_have_value("16")


def test_a_walk_plays_turns_round_and_pauses(visit: Visit) -> None:
    page = visit("view=walk&tiles=r64&seed=1&to=2&steps=9&step=6")
    page.evaluate(
        """() => {
          const place = document.getElementById('walk-place');
          new MutationObserver(() => place.dataset.seen = `${place.dataset.seen ?? ''} ${place.textContent[0]}`)
            .observe(place, { childList: true });
        }"""
    )
    play, place = page.locator("#walk-play"), page.locator("#walk-place")
    play.click()
    expect(play).to_have_text("Pause")
    expect(place).to_have_attribute("data-seen", re.compile("^ 8 9 8 7 6 5 4 3 2 1 2"), timeout=SLOW_MS)
    play.click()
    expect(play).to_have_text("Play")
    seen = place.get_attribute("data-seen")
    assert state_of(page)["step"] == str(int(place.inner_text().split(" / ")[0]) - 1)
    page.wait_for_timeout(400)  # three frames
    assert place.get_attribute("data-seen") == seen


@pytest.mark.parametrize(("motion", "frame_ms"), [("no-preference", 130), ("reduce", 1000)])
def test_a_walk_is_slow_for_who_asks_for_less_motion(visit: Visit, motion: str, frame_ms: int) -> None:
    page = visit("view=walk&tiles=r64&seed=1&to=2&steps=9", reduced_motion=motion)
    page.clock.install(time=0)
    page.clock.pause_at(1000)  # from here on, time is the test's
    page.locator("#walk-play").click()
    for place in ("2 / 9", "3 / 9"):
        page.clock.run_for(frame_ms)
        assert page.locator("#walk-place").inner_text() == place


def test_a_recipe_without_walks_says_why_and_another_walks(visit: Visit) -> None:
    page = visit("view=walk&tiles=gri128&model=scene&seed=1&to=2&steps=9")
    expect(page.locator("#walk-note")).to_contain_text("Recipe scene has no walk: between the skies of two seeds")
    for hidden in ("#walk-tile", "#walk-play", "#walk-strip", "#take"):
        assert page.locator(hidden).is_hidden()
    page.locator("#model").select_option("gan")
    settle(page)
    expect(page.locator("#walk-place")).to_have_text("1 / 9")
    assert page.locator("#take").is_visible()


def test_a_walk_stops_where_another_view_opens(visit: Visit) -> None:
    page = visit("view=walk&tiles=r64&seed=1&to=2&steps=9")
    page.locator("#walk-play").click()
    page.get_by_role("link", name="Tiles", exact=True).click()
    settle(page)
    assert page.locator("#walk-play").get_attribute("aria-pressed") == "false"


def test_which_is_real(visit: Visit, client: httpx.Client) -> None:
    real = {decoded(client.get(f"/v1/real/r64/{index}.png").content).tobytes() for index in range(5)}
    page = visit("view=real&tiles=r64")
    assert "a simulated frame" in page.locator("#real-task").inner_text()
    right = 0
    for turn in range(1, 7):
        tiles = page.locator("#pair button")
        expect(tiles).to_have_count(2)
        truth = [pixels(tiles.nth(place).locator("img")).tobytes() in real for place in range(2)]
        assert sorted(truth) == [False, True]
        answer_right = turn != 2
        tiles.nth(truth.index(answer_right)).click()
        right += answer_right
        expect(page.locator("#verdict")).to_have_text(
            "Right: that is the real one." if answer_right else "No: that one was generated."
        )
        captions = page.locator("#pair figcaption").all_inner_texts()
        assert captions[truth.index(True)].endswith("field 94-1-12")
        assert captions[truth.index(False)].startswith("Generated: seed ")
        expect(page.locator("#score")).to_contain_text(f"{right} of {turn} right")
        page.locator("#next-pair").click()
        expect(page.locator("#verdict")).to_have_text("")
    chance = sum(math.comb(6, heads) for heads in (5, 6)) / 2**6
    expect(page.locator("#score")).to_contain_text(f"with probability {100 * chance:.2g} %")


def test_which_is_real_by_keys(visit: Visit) -> None:
    page = visit("view=real&tiles=r64")
    page.keyboard.press("2")
    expect(page.locator("#score")).to_contain_text("of 1 right")
    page.keyboard.press("Enter")  # the next pair has the focus
    expect(page.locator("#verdict")).to_have_text("")
    page.keyboard.press("1")
    expect(page.locator("#score")).to_contain_text("of 2 right")


def test_a_set_without_real_tiles_says_so(visit: Visit) -> None:
    page = visit("view=real&tiles=gri128", expected=("status of 404",))
    expect(page.locator("#real-none")).to_have_text("This service holds no real tiles of gri128 to compare with.")
    assert page.locator("#real-game").is_hidden()
    choose(page, "tiles", "r64")
    expect(page.locator("#pair img")).to_have_count(2)
