import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from skygen.report.page import write_page

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><style>@media (prefers-color-scheme: dark){}</style></svg>'
MARKDOWN = """\
# Title & more

Words with `a < b`, **bold** and <script>alert(1)</script>.

## First: part

| metric | gan |
| --- | ---: |
| `a` | **1** ✓ |

![Tiles of "gan"](gan/grid.png)

## Second part

![A chart](figures/chart.svg)
"""


class Page(HTMLParser):
    """The elements of a page: (tag, attributes), and what was left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    (folder / "gan").mkdir()
    (folder / "figures").mkdir()
    pixels = np.random.default_rng(0).normal(36, 10, (60, 80, 3)).astype(np.uint8)  # as loud as the sky in a sheet
    pixels[20:40, 20:40] = (200, 60, 20)  # a red source, whose colour must stay
    Image.fromarray(pixels).save(folder / "gan/grid.png")
    (folder / "figures/chart.svg").write_text(SVG)
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return write_page(MARKDOWN, folder)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_a_page_is_whole_and_every_element_closed(text, page):
    assert text.startswith("<!DOCTYPE html>")
    assert page.open == []
    assert "{{" not in text
    assert "<title>Title &amp; more</title>" in text


def test_a_page_needs_no_network(text, page):
    sources = [
        value for _, attributes in page.elements for key, value in attributes.items() if key in ("src", "srcset")
    ]

    assert len(sources) == 2
    assert all(source.startswith("data:image/") for source in sources)
    assert page.all("link") == []
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_html_in_the_text_is_shown_and_not_run(text, page):
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert len(page.all("script")) == 1  # the page's own


def test_the_contents_lead_to_the_headings(page):
    targets = [link["href"] for link in page.all("a")]

    assert targets == ["#first-part", "#second-part"]
    assert [f"#{heading['id']}" for heading in page.all("h2")] == targets


def test_a_table_scrolls_in_its_own_box_which_keys_reach(text, page):
    (box,) = [div for div in page.all("div") if div.get("role") == "region"]

    assert box["tabindex"] == "0"
    assert box["aria-label"]
    assert re.search(r'<div class="scroll"[^>]*><table>.*</table></div>', text, re.DOTALL)


def test_the_mark_is_said_in_words(text):
    assert '<span class="real" role="img" aria-label="not worse than real-real">✓</span></td>' in text


def test_pictures_have_words_and_are_enlarged_by_a_button(page):
    shown = [image for image in page.all("img") if "src" in image]

    assert [image["alt"] for image in shown] == ['Tiles of "gan"', "A chart"]
    assert [image["class"] for image in shown] == ["tiles", "chart"]
    assert len(page.all("button")) == len(shown) + 1  # and the one that closes


def test_a_chart_is_in_the_page_as_it_was(page):
    chart = next(image for image in page.all("img") if image.get("class") == "chart")

    assert base64.b64decode(chart["src"].partition("base64,")[2]).decode() == SVG


def test_tiles_keep_their_colours_and_the_strength_of_their_noise(page, folder):
    tiles = next(image for image in page.all("img") if image.get("class") == "tiles")
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(tiles["src"].partition("base64,")[2]))), dtype=float)
    original = np.asarray(Image.open(folder / "gan/grid.png"), dtype=float)

    np.testing.assert_allclose(found[24:36, 24:36].mean(axis=(0, 1)), (200, 60, 20), atol=3)
    sky = (slice(None), slice(48, 80))
    assert found[sky].std(axis=(0, 1)) == pytest.approx(original[sky].std(axis=(0, 1)), rel=0.2)


def test_a_page_follows_the_readers_choice_of_light_and_dark(text):
    assert "@media (prefers-color-scheme: dark)" in text
    assert '<meta name="color-scheme" content="light dark">' in text


def test_a_missing_picture_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"grid\.png: the report shows it"):
        write_page("![words](scene/grid.png)", folder)


def test_the_same_text_is_the_same_page(text, folder):
    assert write_page(MARKDOWN, folder) == text
