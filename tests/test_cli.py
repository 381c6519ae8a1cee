"""The command `skygen`: files equal to what the bundle makes, errors in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner, Result
from PIL import Image

from skygen.bundle import Bundle
from skygen.cli import main

PARAMS = Path(__file__).parents[1] / "params.yaml"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., object]) -> Path:
    """A folder SET/RECIPE with a bundle each."""
    folder = tmp_path_factory.mktemp("bundles")
    write_bundle(folder / "r64/gan")
    write_bundle(folder / "gri128/gan", tiles="gri128", size=128, bands=["g", "r", "i"])
    write_bundle(folder / "r64/scene", recipe="scene")
    return folder


def skygen(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_npy_is_the_bundles_flux(bundles: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "tiles.npy"
    run = skygen("generate", "--bundle", bundles / "gri128/gan", "--n", 3, "--seed", 7, "--output", output)
    assert run.exit_code == 0, run.output
    assert np.load(output).tobytes() == Bundle.load(bundles / "gri128/gan").generate(7, 3).tobytes()
    assert list(output.parent.iterdir()) == [output]


def test_format_wins_over_the_suffix(bundles: Path, tmp_path: Path) -> None:
    output = tmp_path / "tiles.dat"
    assert skygen("generate", "--bundle", bundles / "r64/gan", "--format", "png", "--output", output).exit_code == 0
    with Image.open(output) as picture:
        assert (picture.format, picture.size) == ("PNG", (64, 64))


@pytest.mark.parametrize("name", ["png", "npy", "fits", "json"])
def test_same_seed_same_file(bundles: Path, tmp_path: Path, name: str) -> None:
    files = [tmp_path / f"{run}.{name}" for run in range(2)]
    for file in files:
        assert skygen("generate", "--bundle", bundles / "r64/gan", "--seed", 7, "--output", file).exit_code == 0
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    ("arguments", "choice"),
    [
        ([], {}),
        (["--noise", "survey", "--seeing", "survey"], {}),
        (["--noise", "none"], {"noise": "none"}),
        (["--noise", "0.05", "--seeing", "1.2"], {"noise": 0.05, "seeing": 1.2}),
    ],
)
def test_scenes_are_seen_as_asked(bundles: Path, tmp_path: Path, arguments: list[str], choice: dict[str, Any]) -> None:
    output = tmp_path / "tiles.fits"
    run = skygen("generate", "--bundle", bundles / "r64/scene", "--n", 2, *arguments, "--output", output)
    assert run.exit_code == 0, run.output
    loaded = Bundle.load(bundles / "r64/scene")
    observed = loaded.conditions(0, 2, **choice)
    assert observed is not None
    with fits.open(output) as hdus:
        for hdu, flux, noise in zip(hdus[1:], loaded.generate(0, 2, **choice), observed.sky_noise_nmgy, strict=True):
            assert hdu.data.astype("<f4").tobytes() == flux[0].tobytes()
            assert hdu.header["NOISE"] == choice.get("noise", "survey")
            assert hdu.header["SEEING"] == choice.get("seeing", "survey")
            assert hdu.header["SKYSIG_R"] == pytest.approx(float(noise[0]), abs=1e-6)


def test_deliver_says_what_it_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert skygen("deliver").output == "0 journals delivered\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "tiles.jpg"], "its suffix names no format"),
        (["--output", "tiles.npy", "--bundle", "nowhere"], "generator.safetensors: missing"),
        (["--output", "tiles.npy", "--seed", "-1"], "Invalid value for '--seed'"),
        (["--output", "tiles.npy", "--n", "0"], "Invalid value for '--n'"),
        (["--output", "tiles.npy", "--noise", "much"], "'much' is neither survey nor none nor a number"),
        (["--output", "tiles.npy", "--noise", "0"], "noise is 0.0; it must be 'survey', 'none' or a level above 0"),
        (["--output", "tiles.npy", "--noise", "nan"], "noise is nan; it must be"),
        (["--output", "tiles.npy", "--noise", "none"], "recipe gan paints its noise: noise must be 'survey'"),
        (["--output", "tiles.npy", "--seeing", "none"], "'none' is neither survey nor a number"),
        (["--output", "tiles.npy", "--seeing", "5"], "a FWHM from 0.6 to 3.0 arcsec"),
        (["--output", "tiles.npy", "--seeing", "1.2"], "recipe gan has no PSF"),
    ],
)
def test_bad_arguments_end_in_a_sentence(
    bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run = skygen("generate", "--bundle", bundles / "r64/gan", *arguments)
    assert run.exit_code in (1, 2)
    assert message in run.output
    assert not list(tmp_path.iterdir())


def test_card_is_the_bundles_card_and_hash(bundles: Path) -> None:
    loaded = Bundle.load(bundles / "r64/gan")
    run = skygen("card", bundles / "r64/gan")
    assert json.loads(run.output) == loaded.card.model_dump() | {"sha256": loaded.sha256}


def test_params_prints_the_chosen_scale(tmp_path: Path) -> None:
    assert json.loads(skygen("params", PARAMS).output)["training"]["r64"]["width"] == 16
    paper = tmp_path / "params.yaml"
    paper.write_text(PARAMS.read_text().replace("scale: laptop", "scale: paper"))
    assert json.loads(skygen("params", paper).output)["training"]["r64"]["width"] == 64


@pytest.mark.parametrize(("old", "new"), [("scale: laptop", "scale: huge"), ("loss: jensen_shannon", "loss: hinge")])
def test_params_names_what_is_wrong(tmp_path: Path, old: str, new: str) -> None:
    wrong = tmp_path / "params.yaml"
    wrong.write_text(PARAMS.read_text().replace(old, new))
    run = skygen("params", wrong)
    assert run.exit_code == 1
    assert new.split(": ")[1] in run.output
    assert "Traceback" not in run.output
