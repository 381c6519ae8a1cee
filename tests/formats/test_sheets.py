import numpy as np
import pytest
from PIL import Image

from skygen.formats.sheets import GROUND, SHEET_PX, save_picture, sheet, side_by_side


def tiles(seed: int, size: int, bands: str) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.03, (110, len(bands), size, size)).astype(np.float32)


@pytest.mark.parametrize(("size", "bands", "columns"), [(64, "r", 10), (128, "gri", 5)])
def test_a_sheet_is_square_and_about_as_wide_as_it_says(size, bands, columns):
    picture = sheet(tiles(0, size, bands), bands)

    assert picture.width == picture.height == columns * (size + 2) - 2
    assert picture.width == pytest.approx(SHEET_PX, rel=0.05)


@pytest.mark.parametrize(("size", "bands"), [(64, "r"), (128, "gri")])
def test_sheets_side_by_side_keep_every_pixel(tmp_path, size, bands):
    sheets = {name: sheet(tiles(seed, size, bands), bands) for seed, name in enumerate(("real", "gan", "scene"))}
    save_picture(side_by_side(sheets), tmp_path / "figures/tiles.png")

    with Image.open(tmp_path / "figures/tiles.png") as opened:
        page = np.asarray(opened)
    whole = np.asarray(sheets["scene"].convert("RGB"))
    height, width = whole.shape[:2]
    found = [
        np.array_equal(page[top : top + height, 16 : 16 + width], whole) for top in range(page.shape[0] - height + 1)
    ]
    assert found.count(True) == 1
    assert found.index(True) > height  # in the second row


def test_each_picture_has_its_title_in_light_on_dark():
    blank = Image.new("RGB", (200, 50), GROUND)
    titled = np.asarray(side_by_side({"real": blank, "scene": blank}))
    left, right = titled[:, :200], titled[:, 216:]

    assert (titled[0, 0] == GROUND).all()
    for half in (left, right):
        assert half.max() > 200
    assert (right.max(axis=2) > 100).sum() > (left.max(axis=2) > 100).sum()  # the longer word


def test_pictures_of_different_sizes_do_not_overlap():
    small, large = (Image.new("RGB", (side, side), (255, 0, 0)) for side in (30, 90))
    page = np.asarray(side_by_side({"": small, " ": large, "  ": small}))

    assert (page[..., 0] == 255).sum() == 2 * 30**2 + 90**2
