from xml.etree import ElementTree as ET

import pytest
from matplotlib.colors import to_rgb

from skygen.report.chart_style import COLOURS, DARK, INK, legend, look, panels, save_chart, styled

LIGHT_PAGE, DARK_PAGE = "#ffffff", "#0d1117"


def chart(colour: str = COLOURS[0]):
    with styled():
        figure, (axes,) = panels(1, 3)
        axes.plot([1, 2], [3, 4], color=colour, label="gan")
        axes.fill_between([1, 2], [3, 4], color=colour)
        axes.set(title="flux", xlabel="nmgy")
        legend(figure, axes)
    return figure


def contrast(first: str, second: str) -> float:
    """WCAG 2's contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_the_first_sixty_recipes_look_different_and_always_the_same():
    assert len({str(look(place)) for place in range(60)}) == 60
    assert look(1) == look(1)


@pytest.mark.parametrize("colour", [INK, *COLOURS])
def test_lines_stand_out_on_a_light_and_on_a_dark_page(colour):
    assert contrast(colour, LIGHT_PAGE) > 2.9  # graphics need 3 by WCAG 2; the lightest of them has dashes too
    assert contrast(DARK[colour], DARK_PAGE) > 4.5


def test_contrast_is_the_textbooks():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_the_same_chart_is_the_same_bytes(tmp_path):
    for name in ("a.svg", "b.svg"):
        save_chart(chart(), tmp_path / name)

    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_chart_is_an_svg_without_ground_that_names_a_dark_colour_for_each_of_its_own(tmp_path):
    save_chart(chart(), tmp_path / "chart.svg")
    text = (tmp_path / "chart.svg").read_text()
    root = ET.fromstring(text)  # noqa: S314  # our own file
    style = next(element.text for element in root.iter("{http://www.w3.org/2000/svg}style"))

    assert style.startswith("@media (prefers-color-scheme: dark)")
    for part in ("fill", "stroke"):
        assert f'[style*="{part}: {COLOURS[0]}"]{{{part}:{DARK[COLOURS[0]]}!important}}' in style
        assert f"{part}: {COLOURS[0]}" in text.replace(style, "")
    assert f"fill: {INK}" in text.replace(style, "")  # the words
    assert "fill: #ffffff" not in text
    assert "fill: #000000" not in text
