"""The command `skygen` on a process: the truth beside tiles, and rectangles of a sky."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner, Result
from PIL import Image

from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Factors, Rectangle, row
from skygen.cli import main
from skygen.formats.catalogue import read_truth
from skygen.output import A_STEP


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., object]) -> Path:
    folder = tmp_path_factory.mktemp("process")
    write_bundle(folder, recipe="scene", bands=["g", "r", "i"])
    return folder


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Bundle:
    return Bundle.load(folder)


def skygen(*arguments: str | Path | float) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def generate(folder: Path, *arguments: str | Path | float) -> Result:
    return skygen("generate", "--bundle", folder, *arguments)


def cut(folder: Path, *arguments: str | Path | float) -> Result:
    return skygen("sky", "--bundle", folder, "--width", 150, "--height", 90, *arguments)


def test_tiles_have_the_density_asked_for(folder: Path, loaded: Bundle, tmp_path: Path) -> None:
    output = tmp_path / "tiles.npy"
    density = ["--density-stars", "0.5", "--density-galaxies", "2"]
    run = generate(folder, "--n", 3, "--seed", 7, *density, "--output", output)
    assert run.exit_code == 0, run.output
    assert np.load(output).tobytes() == loaded.generate(7, 3, density=Factors(0.5, 2)).tobytes()


@pytest.mark.parametrize("name", ["fits", "ecsv", "csv"])
def test_a_catalogue_holds_the_objects_of_all_tiles(folder: Path, loaded: Bundle, tmp_path: Path, name: str) -> None:
    file = tmp_path / "new" / f"objects.{name}"
    n = A_STEP + 2
    run = generate(folder, "--n", n, "--seed", 7, "-o", tmp_path / "tiles.npy", "--catalogue", file, "--min-snr", 5)
    assert run.exit_code == 0, run.output
    table = read_truth(file.read_bytes())[0] if name == "fits" else Table.read(file, format=f"ascii.{name}")
    expected = loaded.truth_all(row(7, n), 5)
    assert list(table["index"]) == [index for index, truth in enumerate(expected) for _ in truth.rows]
    assert list(table["object_id"]) == [found["object_id"] for truth in expected for found in truth.rows]
    assert np.load(tmp_path / "tiles.npy").tobytes() == loaded.generate(7, n).tobytes()


def test_fits_may_hold_the_truth_of_each_tile(folder: Path, loaded: Bundle, tmp_path: Path) -> None:
    output = tmp_path / "tiles.fits"
    assert generate(folder, "--n", 3, "--truth", "--output", output).exit_code == 0
    with fits.open(output, checksum=True) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["TILE", "TRUTH"] * 3
        for hdu, truth in zip(hdus[2::2], loaded.truth_all(row(0, 3)), strict=True):
            assert list(hdu.data["object_id"]) == list(truth.rows["object_id"])
    assert generate(folder, "--n", 3, "--output", output).exit_code == 0
    with fits.open(output) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["TILE"] * 3


def test_a_rectangle_of_the_sky_is_the_bundle_s(folder: Path, loaded: Bundle, tmp_path: Path) -> None:
    expected = loaded.sky(Rectangle(3, -20, 40, 150, 90, noise=0.05, density=Factors(0.5, 1)))
    place = ["--seed", "3", "--x", "-20", "--y", "40", "--noise", "0.05", "--density-stars", "0.5"]
    for name in ("npy", "fits", "png"):
        run = cut(folder, *place, "--output", tmp_path / f"sky.{name}", "--catalogue", tmp_path / "objects.ecsv")
        assert run.exit_code == 0, run.output
    assert np.load(tmp_path / "sky.npy").tobytes() == expected.tobytes()
    with fits.open(tmp_path / "sky.fits") as hdus:
        assert hdus[1].data.astype("<f4").tobytes() == expected.tobytes()
        header = hdus[1].header
    assert [header[key] for key in ("SEED", "PLANEX", "PLANEY", "DENSSTAR", "NOISE")] == [3, -20, 40, 0.5, 0.05]
    with Image.open(tmp_path / "sky.png") as picture:
        assert picture.size == (150, 90)
    table = Table.read(tmp_path / "objects.ecsv", format="ascii.ecsv")
    truth = loaded.sky_truth(Rectangle(3, -20, 40, 150, 90, noise=0.05, density=Factors(0.5, 1)))
    assert list(table["object_id"]) == list(truth.rows["object_id"])


def test_a_rectangle_in_fits_may_hold_its_truth(folder: Path, tmp_path: Path) -> None:
    assert cut(folder, "--truth", "-o", tmp_path / "sky.fits").exit_code == 0
    with fits.open(io.BytesIO((tmp_path / "sky.fits").read_bytes()), checksum=True) as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["TILE", "TRUTH"]


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("generate", ["-o", "tiles.npy", "--density-stars", "5"], "density of stars is 5.0; it must be a factor from"),
        ("generate", ["-o", "tiles.npy", "--catalogue", "objects.txt"], "objects.txt: its suffix names no format"),
        (
            "generate",
            ["-o", "tiles.fits", "--catalogue", "tiles.fits"],
            "both the pixels and the catalogue",
        ),
        ("generate", ["-o", "tiles.npy", "--truth"], "a table TRUTH is for FITS, and tiles.npy is npy"),
        ("generate", ["-o", "tiles.npy", "--min-snr", "-1"], "Invalid value for '--min-snr'"),
        ("sky", ["-o", "sky.json"], "sky.json: its suffix names no format; end it in one of fits, npy, png"),
        ("sky", ["-o", "sky.npy", "--format", "json"], "json is no format of a sky; there is fits, npy, png"),
        ("sky", ["-o", "sky.npy", "--width", "5000"], "Invalid value for '--width'"),
        ("sky", ["-o", "sky.npy", "--x", "2000000000"], "x is 2000000000; it must be from -1000000000 to 1000000000"),
        ("sky", ["-o", "sky.npy", "--seeing", "9"], "a FWHM from 0.6 to 3.0 arcsec"),
    ],
)
def test_bad_arguments_end_in_a_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run = skygen(command, "--bundle", folder, *arguments)
    assert run.exit_code in (1, 2)
    assert message in run.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("sky", []), ("generate", ["--catalogue", "objects.ecsv"]), ("generate", ["--truth", "--format", "fits"])],
)
def test_a_recipe_that_paints_says_what_it_lacks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_bundle: Callable[..., object],
    command: str,
    arguments: list[str],
) -> None:
    write_bundle(tmp_path / "gan")
    monkeypatch.chdir(tmp_path)
    run = skygen(command, "--bundle", tmp_path / "gan", "-o", "file.npy", *arguments)
    assert run.exit_code == 1
    assert "recipe gan paints tiles: it has no sky beyond them, and knows no objects" in run.output
    assert [path.name for path in tmp_path.iterdir()] == ["gan"]


def test_a_process_has_no_walk(folder: Path, tmp_path: Path) -> None:
    run = skygen("walk", "--bundle", folder, "--from", 1, "--to", 2, "--output", tmp_path / "walk.npy")
    assert run.exit_code == 1
    assert "has no walks" in run.output
