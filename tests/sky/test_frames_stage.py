import bz2
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skygen.files import read_json, sha256_file, sha256_folder
from skygen.params import load
from skygen.sky.collect import collect_frames
from skygen.sky.exposure import draw_exposures
from skygen.sky.field import FieldId, frame_name
from skygen.sky.frame import SHAPE
from skygen.sky.frame_format import FullFrame, sky_shape, write_frame
from skygen.sky.manifest import FrameRow, FramesError, make_manifest

ROOT = Path(__file__).parents[2]
SURVEY = ROOT.parent / "shared" / "sdss"
FIELDS = [FieldId(94, 1, 12), FieldId(1035, 6, 17), FieldId(4510, 4, 30), FieldId(7264, 3, 111)]


def params(**changes):
    """The project's parameters, with one tile set in g and r, and frames as `changes` say."""
    known = load(ROOT / "params.yaml")
    tiles = {"r64": known.tiles["r64"].model_copy(update={"bands": ["g", "r"]})}
    return known.model_copy(update={"tiles": tiles, "frames": known.frames.model_copy(update=changes)})


def manifest_of(folder):
    return read_json(folder / "manifest.json")


def write(frame, folder, band, field_id, name=None):
    path = folder / (name or frame_name(band, field_id, compressed=False))
    write_frame(path, replace(frame, band=band, field_id=field_id), "test")


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    wcs = draw_exposures(rng, 0)["r"].wcs
    flux = rng.normal(0, 0.03, SHAPE).astype(np.float32)
    calibration = np.full(SHAPE[1], 0.005, np.float32)
    return FullFrame(FIELDS[0], "r", flux, wcs, 0.005, calibration, np.full(sky_shape(SHAPE), 150, np.float32))


@pytest.fixture(scope="module")
def written(frame, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    for field_id in FIELDS:
        for band in "gr":
            write(frame, folder, band, field_id)
    return folder


@pytest.fixture
def survey(written, tmp_path):
    """A folder with four fields in g and r: links, to be unlinked before they are changed."""
    folder = tmp_path / "survey"
    folder.mkdir()
    for path in written.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def test_local_frames_are_taken_over_unchanged(survey, tmp_path):
    (survey / "notes.txt").write_text("not a frame")
    out = tmp_path / "data" / "frames"
    collect_frames(params(source="local", folder=str(survey)), out)
    manifest = manifest_of(out)
    names = [row["name"] for row in manifest["frames"]]
    assert (manifest["source"], manifest["refused"], names) == ("local", [], sorted(names))
    assert sorted(path.name for path in out.iterdir()) == [*names, "manifest.json"]
    assert all(row["sha256"] == sha256_file(survey / row["name"]) for row in manifest["frames"])
    assert all(row["sha256"] == sha256_file(out / row["name"]) for row in manifest["frames"])
    first = manifest["frames"][0]
    assert (first["band"], first["run"], first["camcol"], first["field"]) == ("g", 94, 1, 12)
    assert (first["nmgy_per_count"], first["gain_e_per_count"]) == (0.005, 3.32)
    assert first["sky_noise_nmgy"] == pytest.approx(0.03, rel=0.01)


def test_a_bad_file_is_refused_with_its_field_and_the_run_goes_on(survey, tmp_path):
    plain = survey / "frame-r-004510-4-0030.fits"
    plain.with_suffix(".fits.bz2").write_bytes(bz2.compress(plain.read_bytes()[:500_000])[:-100])
    plain.unlink()
    out = tmp_path / "frames"
    collect_frames(params(source="local", folder=str(survey)), out)
    manifest = manifest_of(out)
    reasons = {refusal["name"]: refusal["reason"] for refusal in manifest["refused"]}
    assert list(reasons) == ["frame-g-004510-4-0030.fits", "frame-r-004510-4-0030.fits.bz2"]
    assert reasons["frame-g-004510-4-0030.fits"].startswith("field 4510-4-30 has no readable frame in r")
    assert "bz2 cannot decode" in reasons["frame-r-004510-4-0030.fits.bz2"]
    assert len(manifest["frames"]) == 6
    assert not list(out.glob("*4510*"))


def test_what_cannot_be_used_is_refused_with_the_reason(survey, tmp_path, frame):
    write(frame, survey, "u", FIELDS[0])
    write(frame, survey, "r", FIELDS[0], "frame-r-000002-1-0012.fits")
    write(frame, survey, "r", FIELDS[0], "frame-r-000094-1-0012.fits.bz2")
    write(replace(frame, flux_nmgy=np.eye(*SHAPE, dtype=np.float32)), survey, "r", FieldId(3, 1, 12))
    (survey / "frame-r-000001-1-0001.fits").write_text("no sky here")
    (survey / "frame-1.fits").write_text("")
    manifest = collect_frames(params(source="local", folder=str(survey)), tmp_path / "frames")
    expected = {
        "frame-1.fits": "must read frame-BAND",
        "frame-r-000001-1-0001.fits": "FITS",
        "frame-r-000002-1-0012.fits": "its name",
        "frame-r-000003-1-0012.fits": "more than half of its pixels are equal",
        "frame-r-000094-1-0012.fits.bz2": "the same frame as frame-r-000094-1-0012.fits",
        "frame-u-000094-1-0012.fits": "no tile set uses band u",
    }
    assert [refusal.name for refusal in manifest.refused] == list(expected)
    assert all(expected[refusal.name] in refusal.reason for refusal in manifest.refused)
    assert len(manifest.frames) == 8


def test_too_few_fields_is_an_error_that_names_the_refused_and_changes_nothing(survey, tmp_path):
    out = tmp_path / "data" / "frames"
    collect_frames(params(source="local", folder=str(survey)), out)
    before = sha256_folder(out)
    for name in ("frame-g-000094-1-0012.fits", "frame-r-001035-6-0017.fits"):
        (survey / name).unlink()
        (survey / name).write_bytes(b"")
    with pytest.raises(FramesError, match="2 complete fields in g, r") as raised:
        collect_frames(params(source="local", folder=str(survey)), out)
    assert "frame-g-000094-1-0012.fits" in str(raised.value)
    assert "frame-r-001035-6-0017.fits: frame-r-001035-6-0017.fits: the file is empty" in str(raised.value)
    assert sha256_folder(out) == before
    assert [path.name for path in out.parent.iterdir()] == ["frames"]


def test_a_new_run_replaces_the_old_frames(survey, tmp_path):
    out = tmp_path / "frames"
    collect_frames(params(source="local", folder=str(survey)), out)
    for path in survey.glob("*-000094-*"):
        path.unlink()
    collect_frames(params(source="local", folder=str(survey)), out)
    assert len(list(out.glob("frame-*"))) == 6
    assert not list(out.glob("*-000094-*"))


@pytest.mark.parametrize("missing", [True, False])
def test_an_empty_or_missing_folder_says_what_to_put_where(tmp_path, missing):
    survey = tmp_path / "mine"
    if not missing:
        survey.mkdir()
    with pytest.raises(FramesError, match=r"mine (is not a folder|holds no frames); put .*frame-BAND-RUN"):
        collect_frames(params(source="local", folder=str(survey)), tmp_path / "frames")
    assert not (tmp_path / "frames").exists()


def test_simulated_frames_are_the_same_for_the_same_seed(tmp_path):
    def simulate(seed, name):
        known = params(source="simulated", seed=seed)
        few = known.chosen.model_copy(update={"frames": known.chosen.frames.model_copy(update={"fields": 3})})
        known = known.model_copy(update={"scales": known.scales | {known.scale: few}})
        collect_frames(known, tmp_path / name, shape=(96, 128))
        return sha256_folder(tmp_path / name)

    first = simulate(7, "first")
    assert simulate(7, "again") == first
    manifest = manifest_of(tmp_path / "first")
    assert (manifest["source"], len(manifest["frames"]), manifest["refused"]) == ("simulated", 9, [])
    assert {row["origin"] for row in manifest["frames"]} == {f"simulated, seed 7, field {k}" for k in range(3)}


def test_a_band_that_is_not_simulated_is_an_error(tmp_path):
    known = params(source="simulated")
    with_z = known.tiles["r64"].model_copy(update={"bands": ["r", "z"]})
    with pytest.raises(FramesError, match="ask for z, but the simulation makes g, r, i"):
        collect_frames(known.model_copy(update={"tiles": {"r64": with_z}}), tmp_path / "frames")


def test_the_manifest_needs_three_fields_complete_in_the_bands_asked_for():
    rows = [
        FrameRow(
            name=frame_name("r", field_id),
            sha256="",
            run=field_id.run,
            camcol=field_id.camcol,
            field=field_id.field,
            band="r",
            origin="",
            sky_noise_nmgy=0.03,
            nmgy_per_count=0.005,
            gain_e_per_count=4.7,
        )
        for field_id in FIELDS[:3]
    ]
    assert make_manifest("local", rows[::-1], [], ["r"]).frames == rows
    with pytest.raises(FramesError, match="0 complete fields in g, r"):
        make_manifest("local", rows, [], ["g", "r"])


def test_the_script_ends_with_a_message_where_there_is_nothing_to_take(tmp_path):
    text = (ROOT / "params.yaml").read_text().replace("source: simulated", "source: local", 1)
    (tmp_path / "params.yaml").write_text(text)
    script = ROOT / "pipelines" / "frames.py"
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("frames: data/local is not a folder; put")


def test_the_surveys_own_frames_are_taken_over(tmp_path):
    if not SURVEY.is_dir():
        pytest.skip(f"the survey's frames are not in {SURVEY}")
    for field_id in FIELDS[:3]:
        name = frame_name("r", field_id)
        (tmp_path / name).symlink_to(SURVEY / name)
    known = params(source="local", folder=str(tmp_path))
    r_alone = known.tiles["r64"].model_copy(update={"bands": ["r"]})
    known = known.model_copy(update={"tiles": {"r64": r_alone}})
    manifest = collect_frames(known, tmp_path / "frames")
    assert [row.band for row in manifest.frames] == ["r", "r", "r"]
    assert all(0.023 < row.sky_noise_nmgy < 0.032 for row in manifest.frames)
    recorded = dict(reversed(line.split()) for line in (SURVEY / "SHA256SUMS").read_text().splitlines())
    assert all(row.sha256 == recorded[row.name] for row in manifest.frames)
