"""Pictures: known levels, Lupton's formula against astropy's, the layout of a contact sheet."""

import io

import numpy as np
import pytest
from astropy.visualization import make_lupton_rgb
from numpy.typing import NDArray
from PIL import Image

from skygen.formats import png


def flat(*levels_nmgy: float) -> NDArray[np.float32]:
    """One tile of 4 x 5 pixels, each band at one level."""
    return np.broadcast_to(np.float32(levels_nmgy).reshape(1, -1, 1, 1), (1, len(levels_nmgy), 4, 5))


@pytest.mark.parametrize(
    ("flux", "level"),
    [
        (png.BLACK_NMGY, 0),
        (png.WHITE_NMGY, 255),
        (-50.0, 0),
        (1e6, 255),
        (0.0, round(255 * np.arcsinh(1) / np.arcsinh(201))),
    ],
)
def test_grey_levels(flux: float, level: int) -> None:
    """Black is 0, white 255, both clip; the sky, one softening above black, is asinh(1) of asinh(201)."""
    assert np.unique(png.to_image8(flat(flux), ["r"])) == [level]


def test_colours_are_luptons() -> None:
    """astropy draws the same picture: its f(x) is asinh(q x / s) 0.1 / asinh(0.1 q), and this q and s make it ours."""
    flux = np.random.default_rng(3).gamma(0.3, 3.0, size=(1, 3, 16, 16)).astype(np.float32)
    balanced = [flux[0, "gri".index(band)] * weight for band, weight in zip("irg", png.RGB_BALANCE, strict=True)]
    q = np.sinh(0.1 * np.arcsinh((png.WHITE_NMGY - png.BLACK_NMGY) / png.SOFTENING_NMGY)) / 0.1
    expected = make_lupton_rgb(*balanced, minimum=png.BLACK_NMGY, stretch=q * png.SOFTENING_NMGY, Q=q)
    picture = png.to_image8(flux, ["g", "r", "i"])[0, ::-1]
    assert np.ptp(expected) > 250
    assert np.abs(picture.astype(int) - expected).max() <= 1


def test_hue_of_a_bright_source_survives() -> None:
    """Twice the flux in i as in r and g, after balance: still twice as bright when the picture clips."""
    level = np.float32(1000)
    bands = {"g": level / png.RGB_BALANCE[2], "r": level / png.RGB_BALANCE[1], "i": 2 * level / png.RGB_BALANCE[0]}
    red, green, blue = png.to_image8(flat(*bands.values()), list(bands))[0, 0, 0]
    assert red == 255
    assert green == blue == 128


def test_row_zero_is_at_the_bottom() -> None:
    tile = np.zeros((1, 1, 4, 5), dtype=np.float32)
    tile[0, 0, 0, 1] = 100.0
    assert np.argwhere(png.to_image8(tile, ["r"])[0] == 255).tolist() == [[3, 1]]


@pytest.mark.parametrize(
    ("count", "columns", "size"), [(1, None, (5, 4)), (5, None, (19, 10)), (5, 2, (12, 16)), (2, 8, (12, 4))]
)
def test_contact_sheet_layout(count: int, columns: int | None, size: tuple[int, int]) -> None:
    sheet = png.contact_sheet(np.repeat(flat(1.0, 1.0, 1.0), count, axis=0), ["g", "r", "i"], columns)
    assert sheet.size == size
    assert sheet.mode == "RGB"


def test_contact_sheet_keeps_the_order() -> None:
    tiles = np.concatenate([flat(level) for level in (0.0, 1.0, 20.0)])
    sheet = np.asarray(png.contact_sheet(tiles, ["r"], columns=2))
    levels = png.to_image8(tiles, ["r"])[:, 0, 0]
    assert [sheet[0, 0], sheet[0, 7], sheet[6, 0], sheet[6, 7]] == [*levels, png.SEAM_LEVEL]


def test_png_decodes_to_the_same_picture() -> None:
    sheet = png.contact_sheet(np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype(np.float32), ["r"])
    decoded = Image.open(io.BytesIO(png.encode_png(sheet)))
    assert decoded.format == "PNG"
    assert np.array_equal(np.asarray(decoded), np.asarray(sheet))


def test_planes_and_bands_must_agree() -> None:
    with pytest.raises(ValueError, match="wanted"):
        png.to_image8(flat(1.0), ["g", "r"])
