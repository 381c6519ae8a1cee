"""The page for everyone: by keyboard, on a phone, in the dark, and when something is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.harness.served import served
from tests.serving.page.browser import choose, fill, settle, state_of

ROOT = Path(__file__).parents[3]
VIEWS = ["grid", "recipes", "walk", "real"]
KEY = "a-key-of-the-tests-alone"
COLOURS = """elements => elements.filter((element) => element.checkVisibility()).map((element) => {
  const ground = (of) => getComputedStyle(of).backgroundColor;
  let behind = element;
  while (behind.parentElement && ground(behind) === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
  return [getComputedStyle(element).color, ground(behind), element.outerHTML];
})"""

OUTLINE = """() => {
  const active = document.activeElement;
  const look = getComputedStyle(active.matches('[type=radio]') ? active.nextElementSibling : active);
  return `${look.outlineStyle} ${look.outlineWidth}`;
}"""
NAMELESS = """elements => elements
  .filter((e) => !e.labels?.length && !e.ariaLabel && !e.alt && !e.querySelector('img')?.alt && !e.textContent.trim())
  .map((e) => e.outerHTML)"""
BESIDE_THE_SCREEN = """elements => elements
  .filter((e) => e.checkVisibility() && (e.getBoundingClientRect().right > 361 || e.getBoundingClientRect().left < -1))
  .map((e) => e.outerHTML)"""

Visit = Callable[..., Page]


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.name"))


def tab_to(page: Page, wanted: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches({json.dumps(wanted)})"):
            return
    pytest.fail(f"Tab does not reach {wanted}")


def test_everything_by_keyboard_alone(visit: Visit) -> None:
    page = visit("n=4&tiles=gri128&model=scene")
    tab_to(page, "[data-skip]")
    page.keyboard.press("Enter")
    assert focused(page) == "view"
    page.reload()
    settle(page)
    tab_to(page, "input[name=tiles]")
    page.keyboard.press("ArrowRight")
    settle(page)
    assert state_of(page)["tiles"] == "r64"
    tab_to(page, "#model")
    page.keyboard.press("ArrowUp")
    settle(page)
    assert state_of(page)["model"] == "gan"
    tab_to(page, "#seed")
    page.keyboard.press("Control+A")
    page.keyboard.type("11")
    page.keyboard.press("Enter")
    settle(page)
    assert state_of(page)["seed"] == "11"
    tab_to(page, "#grid button")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#tile-title")).to_have_text("Tile 3 of seed 11")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#tile-title")).to_have_text("Tile 2 of seed 11")
    settle(page)
    page.keyboard.press("Escape")
    expect(page.locator("#tile")).to_be_hidden()
    assert page.evaluate("document.activeElement.firstChild.alt") == "Tile 3 of seed 11, gan"
    tab_to(page, "#download")
    with page.expect_download():
        page.keyboard.press("Enter")


def test_focus_can_be_seen(visit: Visit) -> None:
    page = visit("n=4&tiles=r64")
    for wanted in ("#views a", "input[name=n]", "#seed", "#grid button", "#download"):
        tab_to(page, wanted)
        assert page.evaluate(OUTLINE) == "solid 2px", wanted


def test_every_control_has_a_name(visit: Visit) -> None:
    page = visit("view=walk&tiles=r64")
    page.get_by_role("link", name="Tiles", exact=True).click()
    page.locator("#grid button").first.click()
    settle(page)
    controls = page.locator("button, input, select, a, img:not(button img), [role=img]")
    assert controls.count() > 40
    assert controls.evaluate_all(NAMELESS) == []


@pytest.mark.parametrize("view", [*VIEWS, "grid&tile=1"])
def test_on_a_phone_nothing_runs_off_the_side(visit: Visit, view: str) -> None:
    page = visit(f"view={view}&tiles=r64&n=16", viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    page.locator("#about summary").evaluate("summary => summary.parentElement.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("button, input, select, img, canvas, pre, dl").evaluate_all(BESIDE_THE_SCREEN) == []


def test_a_tap_opens_a_tile_on_a_phone(visit: Visit) -> None:
    page = visit("tiles=r64&n=4", viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    page.locator("#grid button").nth(1).tap()
    settle(page)
    box = page.locator("#tile-picture img").bounding_box()
    assert box
    assert 280 <= box["width"] <= 360
    page.locator("#tile-close").tap()
    expect(page.locator("#tile")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_in_light_and_dark(visit: Visit, scheme: str) -> None:
    """WCAG's contrast: 4.5 for text; and the dark page is dark."""
    page = visit("tiles=gri128&model=scene&n=4&tile=0", color_scheme=scheme)
    paper = luminance(page.locator("body").evaluate("e => getComputedStyle(e).backgroundColor"))
    assert (paper < 0.02) == (scheme == "dark")
    words = (
        "h1, nav a, legend, .choice span, .choice small, #status, footer p, footer a, pre, dt, dd, th, td, .seed button"
    )
    found = page.locator(words).evaluate_all(COLOURS)
    assert len(found) > 30
    for *colours, html in found:
        ink, behind = map(luminance, colours)
        assert (max(ink, behind) + 0.05) / (min(ink, behind) + 0.05) >= 4.5, html


def luminance(colour: str) -> float:
    """The relative luminance of `rgb(r, g, b)`."""
    levels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("text", ["-1", "0.5", "abc", "", "9223372036854775808"])
def test_a_bad_seed_is_explained_and_changes_nothing(visit: Visit, text: str) -> None:
    page = visit("tiles=r64&n=4&seed=5")
    fill(page, "seed", text)
    expect(page.locator("#seed-wrong")).to_have_text("a whole number from 0 to 9223372036854775807")
    expect(page.locator("#seed")).to_have_attribute("aria-invalid", "true")
    assert state_of(page)["seed"] == "5"
    fill(page, "seed", "6")
    expect(page.locator("#seed-wrong")).to_have_text("")


def test_what_the_service_refuses_is_said_beside_the_field(visit: Visit) -> None:
    page = visit("tiles=gri128&model=scene&n=4", expected=("status of 400",))
    choose(page, "noise", "level")
    fill(page, "noise-level", "11")
    expect(page.locator("#noise-wrong")).to_contain_text("at most 10.0 nmgy")
    expect(page.locator("#problem")).to_contain_text("at most 10.0 nmgy")
    fill(page, "noise-level", "0.01")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#noise-wrong")).to_have_text("")


def test_a_service_that_is_away(visit: Visit) -> None:
    page = visit("tiles=r64&n=4", expected=("ERR_INTERNET_DISCONNECTED",))
    page.context.set_offline(True)
    fill(page, "seed", "99")
    expect(page.locator("#problem")).to_contain_text("The service cannot be reached.")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#status")).to_have_text("4 tiles of seed 99, r64 improved")
    expect(page.locator("#problem")).to_be_hidden()


def test_a_busy_service_is_asked_again(visit: Visit) -> None:
    page = visit("tiles=r64&n=4", expected=("status of 429",))
    busy = iter([True])

    def once(route: Route) -> None:
        if next(busy, False):
            route.fulfill(status=429, headers={"Retry-After": "1"}, json={"error": "the queue is full"})
        else:
            route.continue_()

    page.route("**/v1/tile/**", once)
    page.locator("#seed").fill("21")
    page.locator("#seed").press("Enter")
    expect(page.locator("#status")).to_have_text("The service is busy; asking again in 1 s.")
    expect(page.locator("#status")).to_have_text("4 tiles of seed 21, r64 improved")


def test_a_service_that_gives_up(visit: Visit) -> None:
    page = visit("tiles=r64&n=4", expected=("status of 504",))
    page.route("**/v1/interpolate", lambda route: route.fulfill(status=504, json={"error": "deadline"}))
    page.get_by_role("link", name="Walk").click()
    settle(page)
    expect(page.locator("#problem")).to_contain_text("took too long")


def test_a_service_that_asks_for_a_key(visit: Visit, bundles: Path, tmp_path: Path) -> None:
    with served(tmp_path, {"SKYGEN_API_KEYS": KEY}, bundles) as service, service.client() as guarded:
        page = visit("tiles=r64&n=4", of=guarded, expected=("status of 401",))
        expect(page.locator("#problem")).to_contain_text("asks for an API key")
        for key in ("not-the-key-of-the-tests", KEY):
            page.locator("#key").fill(key)
            page.get_by_role("button", name="Use the key").click()
            settle(page)
            assert page.locator("#key-form").is_visible() == (key != KEY)
        expect(page.locator("#grid img")).to_have_count(4)
        assert 'Authorization: Bearer $SKYGEN_API_KEY"' in page.locator("#curl").inner_text()
        assert KEY not in page.content()
        with page.expect_download() as download:
            page.locator("#download").click()
        assert Path(download.value.path()).read_bytes().startswith(b"SIMPLE")
        page.reload()
        settle(page)
        expect(page.locator("#grid img")).to_have_count(4)
