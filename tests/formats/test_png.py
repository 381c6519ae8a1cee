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


def sky(seed: int, brightness_nmgy: float, bands: int, noise: float = 1.0) -> NDArray[np.float32]:
    """A tile of 64 x 64 pixels: the survey's noise, and some sources of this brightness."""
    rng = np.random.default_rng(seed)
    flux = noise * rng.normal(0, 0.03, size=(1, bands, 64, 64))
    y, x = np.mgrid[:64, :64]
    for place in rng.uniform(0, 64, (6, 2)):
        profile = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 8)
        flux += rng.gamma(1.0, brightness_nmgy, size=(bands, 1, 1)) * profile
    return flux.astype(np.float32)


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


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("brightness_nmgy", [0.01, 1.0, 100.0])
def test_colours_are_those_of_double_precision(seed: int, brightness_nmgy: float) -> None:
    """The formula once more, in float64 and a pixel's bands last: levels differ where a half is rounded."""
    flux = sky(seed, brightness_nmgy, bands=3)
    above = np.stack([flux[0, "gri".index(band), ::-1].astype(float) for band in png.RGB_BANDS], axis=-1)
    above = above * png.RGB_BALANCE - png.BLACK_NMGY
    mean = np.maximum(above.mean(axis=-1, keepdims=True), 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(mean > 0, above / mean, 0)
    colours = shares * np.arcsinh(mean / png.SOFTENING_NMGY) / np.arcsinh(201)
    expected = np.rint(255 * np.clip(colours / np.maximum(colours.max(axis=-1, keepdims=True), 1), 0, 1)).astype(int)
    difference = np.abs(png.to_image8(flux, ["g", "r", "i"])[0] - expected)
    assert np.ptp(expected) > 30
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_grey_is_that_of_double_precision(seed: int) -> None:
    flux = sky(seed, 1.0, bands=1)
    expected = np.rint(255 * np.clip(np.arcsinh((flux[0, 0, ::-1].astype(float) + 0.1) / 0.1) / np.arcsinh(201), 0, 1))
    assert np.abs(png.to_image8(flux, ["r"])[0] - expected).max() <= 1


@pytest.mark.parametrize(
    "flux", [flat(0.0, 0.0, 0.0), flat(-0.1, -0.1, -0.1), flat(5.0, -5.3, 0.0), flat(0.0, 1e30, 0)]
)
def test_no_pixel_is_without_a_level(flux: NDArray[np.float32]) -> None:
    """Where the mean of the bands is nothing, or one of them is all of it: warnings are errors."""
    assert png.to_image8(flux, ["g", "r", "i"]).shape == (1, 4, 5, 3)


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("count", [1, 3])
def test_png_decodes_to_the_same_picture(bands: int, count: int) -> None:
    sheet = png.contact_sheet(np.concatenate([sky(seed, 1.0, bands) for seed in range(count)]), "gri"[-bands:])
    content = png.encode_png(sheet)
    Image.open(io.BytesIO(content)).verify()  # the CRC of every chunk
    decoded = Image.open(io.BytesIO(content))
    assert (decoded.format, decoded.mode) == ("PNG", sheet.mode)
    assert np.array_equal(np.asarray(decoded), np.asarray(sheet))


@pytest.mark.parametrize(("noise", "share"), [(1.0, 1.0), (0.0, 1.2)])
def test_png_is_hardly_larger_than_pillows(noise: float, share: float) -> None:
    """Smaller for noise; a scene without it is smooth, and so better filtered, but small in any case."""
    sheet = png.contact_sheet(sky(0, 1.0, 3, noise), ["g", "r", "i"])
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", compress_level=1)
    assert len(stream.getvalue()) < sheet.width * sheet.height * 3
    assert len(png.encode_png(sheet)) < share * len(stream.getvalue())


@pytest.mark.parametrize("levels", [np.zeros((4, 5)), np.zeros((4, 5, 4), np.uint8), np.zeros(4, np.uint8)])
def test_png_refuses_what_is_no_picture(levels: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="wanted uint8"):
        png.encode_png(levels)


def test_planes_and_bands_must_agree() -> None:
    with pytest.raises(ValueError, match="wanted"):
        png.to_image8(flat(1.0), ["g", "r"])
