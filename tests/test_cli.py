"""The command `skygen`: files equal to what the bundle makes, errors in one line."""

import contextlib
import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner, Result
from PIL import Image

from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile, row, walk
from skygen.cli import main
from skygen.output import A_STEP
from skygen.sky.field import frame_name
from skygen.sky.frame import FrameError, read_frame
from skygen.sky.frame_format import write_frame
from skygen.sky.inspection.inspect import inspect_field
from skygen.sky.noise import pixel_noise
from skygen.sky.simulation.simulate import simulate_field

PARAMS = Path(__file__).parents[1] / "params.yaml"
SHAPE = (744, 1024)  # a quarter of a frame, and of the time


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., object]) -> Path:
    """A folder SET/RECIPE with a bundle each."""
    folder = tmp_path_factory.mktemp("bundles")
    write_bundle(folder / "r64/gan")
    write_bundle(folder / "gri128/gan", tiles="gri128", size=128, bands=["g", "r", "i"])
    write_bundle(folder / "r64/scene", recipe="scene")
    return folder


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The frames of a simulated field in g and r, as files; frames are small then."""
    folder, paths = tmp_path_factory.mktemp("field"), {}
    for frame in simulate_field(7, 0, SHAPE):
        if frame.band in ("g", "r"):
            paths[frame.band] = folder / frame_name(frame.band, frame.field_id)
            write_frame(paths[frame.band], frame, "test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skygen.sky.frame.SHAPE", SHAPE)
        yield paths


def skygen(*arguments: str | Path | int) -> Result:
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
    observed = loaded.conditions_of(row(0, 2, **choice))
    assert observed is not None
    with fits.open(output) as hdus:
        for hdu, flux, noise in zip(hdus[1:], loaded.generate(0, 2, **choice), observed.sky_noise_nmgy, strict=True):
            assert hdu.data.astype("<f4").tobytes() == flux[0].tobytes()
            assert hdu.header["NOISE"] == choice.get("noise", "survey")
            assert hdu.header["SEEING"] == choice.get("seeing", "survey")
            assert hdu.header["SKYSIG_R"] == pytest.approx(float(noise[0]), abs=1e-6)


def test_first_is_the_index_of_the_first_tile(bundles: Path, tmp_path: Path) -> None:
    output = tmp_path / "tiles.fits"
    run = skygen("generate", "--bundle", bundles / "r64/scene", "--n", 2, "--first", 3, "--output", output)
    assert run.exit_code == 0, run.output
    loaded = Bundle.load(bundles / "r64/scene")
    observed = loaded.conditions_of(row(0, 5))
    assert observed is not None
    with fits.open(output) as hdus:
        assert [hdu.header["INDEX"] for hdu in hdus[1:]] == [3, 4]
        assert [hdu.header["SKYSIG_R"] for hdu in hdus[1:]] == pytest.approx(
            observed.sky_noise_nmgy[3:, 0].tolist(), abs=1e-6
        )
        served = np.stack([hdu.data.astype("<f4") for hdu in hdus[1:]])
    assert served.tobytes() == loaded.generate(0, 5)[3:, 0].tobytes()


def test_walk_goes_from_one_seed_to_the_other(bundles: Path, tmp_path: Path) -> None:
    output, arguments = tmp_path / "walk.fits", ["--from", 7, "--to", 8, "--steps", 5, "--index", 3]
    run = skygen("walk", "--bundle", bundles / "r64/gan", *arguments, "--output", output)
    assert run.exit_code == 0, run.output
    with fits.open(output) as hdus:
        steps = np.stack([hdu.data.astype("<f4") for hdu in hdus[1:]])
        said = [tuple(hdu.header[key] for key in ("SEED", "TOWARDS", "SHARE", "INDEX")) for hdu in hdus[1:]]
    assert said == [(7, 8, share, 3) for share in (0, 0.25, 0.5, 0.75, 1)]
    loaded = Bundle.load(bundles / "r64/gan")
    assert steps[0].tobytes() == loaded.generate(7, 4)[3, 0].tobytes()
    assert steps.tobytes() == loaded.draw_all(walk(Tile(7, 3), 8, 5)).tobytes()


@pytest.mark.parametrize(("n", "shown"), [(A_STEP + 1, True), (A_STEP, False)])
def test_progress_of_many_tiles_is_shown_on_a_terminal(bundles: Path, tmp_path: Path, n: int, shown: bool) -> None:
    """stderr is a terminal of its own here; both ends of it are ours."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    termios.tcsetwinsize(theirs, (24, 80))
    program = [sys.executable, "-c", "from skygen.cli import main; main()"]
    arguments = ["generate", "--bundle", bundles / "r64/gan", "--n", str(n), "--output", tmp_path / "tiles.npy"]
    run = subprocess.run([*program, *arguments], stdout=subprocess.PIPE, stderr=theirs, check=False)
    with contextlib.suppress(BlockingIOError):
        seen = b""
        seen = os.read(ours, 4096)
    for end in (ours, theirs):
        os.close(end)
    assert (run.returncode, run.stdout) == (0, b"")
    assert len(np.load(tmp_path / "tiles.npy")) == n
    assert (f"0/{n} [".encode() in seen) == shown
    assert seen == b"" or shown


def test_progress_is_not_shown_elsewhere(bundles: Path, tmp_path: Path) -> None:
    run = skygen("generate", "--bundle", bundles / "r64/gan", "--n", A_STEP + 1, "--output", tmp_path / "tiles.npy")
    assert (run.exit_code, run.output) == (0, "")


def test_check_measures_what_it_accepts(tmp_path: Path, field: dict[str, Path]) -> None:
    """The figures are those of the manifest: sky noise and PSF by band, stars in r, sources in r."""
    run = skygen("check", *field.values())
    assert run.exit_code == 0, run.output
    inspection = inspect_field({band: read_frame(path) for band, path in field.items()})
    lines = run.output.splitlines()
    assert len(lines) == len(field)
    for line, (band, path) in zip(lines, field.items(), strict=True):
        assert line.startswith(f"{path}: {band} of field {read_frame(path).field_id}, ")
        assert f"sky noise {inspection.sky_noise_nmgy[band]:.4f} nmgy" in line
        assert f"PSF {inspection.psf_fwhm_arcsec[band]:.2f} arcsec by {inspection.psf_stars[band]} stars" in line
        assert line.endswith(f"{len(inspection.sources)} sources")


def test_check_names_each_frame_that_it_refuses_with_the_quarantines_reason(
    tmp_path: Path, field: dict[str, Path]
) -> None:
    damaged = tmp_path / field["g"].name
    damaged.write_bytes(field["g"].read_bytes()[:-1000])
    copy = tmp_path / "copy" / field["r"].name
    copy.parent.mkdir()
    copy.write_bytes(field["r"].read_bytes())
    missing, nameless = tmp_path / field["r"].name.replace("-r-", "-i-"), tmp_path / "picture.fits"
    run = skygen("check", field["r"], damaged, copy, missing, nameless)
    assert run.exit_code == 1
    with pytest.raises(FrameError) as refused:
        read_frame(damaged)
    assert f"refused {damaged}: {refused.value.cause}; {refused.value.remedy}" in run.output
    assert f"refused {copy}: it is the same frame as {field['r']}; keep one of the two" in run.output
    assert f"refused {missing}: there is no such file" in run.output
    assert f"refused {nameless}: 'picture.fits' is not a frame's name" in run.output
    assert f"{field['r']}: r of field" in run.output
    assert "Error: 4 of 5 refused" in run.output


def test_check_without_the_frame_in_r_says_what_it_lacks(field: dict[str, Path]) -> None:
    run = skygen("check", field["g"])
    assert run.exit_code == 0
    noise = pixel_noise(read_frame(field["g"]).flux_nmgy)
    assert f"sky noise {noise:.4f} nmgy; PSF and sources not measured: that takes the field's frame in r" in run.output


@pytest.mark.parametrize("band", ["g", "r"])
def test_check_refuses_a_field_that_cannot_be_inspected(
    tmp_path: Path, field: dict[str, Path], frame_bytes: Callable[..., bytes], band: str
) -> None:
    """Two pixels, and a constant everywhere else."""
    flux = np.full(SHAPE, 0.5, np.float32)
    flux[700, 900:902] = (5.0, 0.25)
    frame = tmp_path / f"frame-{band}-000094-1-0012.fits"
    frame.write_bytes(frame_bytes(frame.name, flux))
    run = skygen("check", frame)
    assert run.exit_code == 1
    assert f"refused {frame}: field 94-1-12: more than half of the pixels in {band} are equal; fetch" in run.output


def test_help_says_what_the_exit_status_means() -> None:
    assert "Exit status: 0 where all went well, 1 " in " ".join(skygen("--help").output.split())


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["card", "nowhere"], 1), (["card"], 2), (["check"], 2), (["fly"], 2), (["card", "--x"], 2)],
)
def test_exit_status(arguments: list[str], status: int) -> None:
    assert skygen(*arguments).exit_code == status


def test_publish_says_what_it_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert skygen("publish").output == "0 runs and evaluations published\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "tiles.jpg"], "its suffix names no format"),
        (["--output", "tiles.npy", "--bundle", "nowhere"], "generator.safetensors: missing"),
        (["--output", "tiles.npy", "--seed", "-1"], "Invalid value for '--seed'"),
        (["--output", "tiles.npy", "--first", str(2**31)], "Invalid value for '--first'"),
        (["--output", "tiles.npy", "--engine", "abacus"], "Invalid value for '--engine'"),
        (["--output", "tiles.npy", "--n", "0"], "Invalid value for '--n'"),
        (["--output", "tiles.npy", "--noise", "much"], "'much' is neither survey nor none nor a number"),
        (["--output", "tiles.npy", "--noise", "0"], "noise is 0.0; it must be 'survey', 'none' or a level above 0"),
        (["--output", "tiles.npy", "--noise", "nan"], "noise is nan; it must be"),
        (["--output", "tiles.npy", "--noise", "none"], "recipe gan paints its noise; it takes 'survey' alone"),
        (["--output", "tiles.npy", "--seeing", "none"], "'none' is neither survey nor a number"),
        (["--output", "tiles.npy", "--seeing", "5"], "a FWHM from 0.6 to 3.0 arcsec"),
        (["--output", "tiles.npy", "--seeing", "1.2"], "recipe gan paints its seeing; it takes 'survey' alone"),
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
