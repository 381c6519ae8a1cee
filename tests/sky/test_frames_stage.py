import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.wcs import WCS

from skygen.files import sha256_file, sha256_folder
from skygen.params import load
from skygen.sky import field_job
from skygen.sky.archive.download import Missing
from skygen.sky.collect import collect_frames
from skygen.sky.field import FieldId, frame_name, sources_name
from skygen.sky.frame import read_frame
from skygen.sky.frame_file import keep_significant_bits
from skygen.sky.frame_format import FullFrame, sky_shape, write_frame
from skygen.sky.inspection.inspect import read_inspection
from skygen.sky.manifest import FramesError, Manifest
from skygen.sky.noise import pixel_noise, sky_level
from skygen.sky.readout import halves_of

ROOT = Path(__file__).parents[2]
SURVEY = ROOT.parent / "shared" / "sdss"
FIELDS = [FieldId(94, 1, 12), FieldId(1035, 6, 17), FieldId(4510, 4, 30), FieldId(7264, 3, 111)]
SHAPE = (600, 1000)  # a fifth of a frame, and of the time
FWHM_PX = 3.2


@pytest.fixture(autouse=True)
def small_frames(monkeypatch):
    monkeypatch.setattr("skygen.sky.frame.SHAPE", SHAPE)


def params(bands=("g", "r"), **changes):
    """The project's parameters, with one tile set in `bands`, and frames as `changes` say."""
    known = load(ROOT / "params.yaml")
    r64 = known.tiles["r64"].model_copy(update={"bands": list(bands)})
    tiles = type(known.tiles).model_validate({"scheduler": None, "r64": r64})
    return known.model_copy(update={"tiles": tiles, "frames": known.frames.model_copy(update=changes)})


def collect(folder, out, **changes):
    return collect_frames(params(**{"source": "local", "folder": str(folder), **changes}), out)


def causes(manifest):
    return {refusal.file: refusal.cause for refusal in manifest.refused}


def write(frame, folder, band, field_id, name=None):
    path = folder / (name or frame_name(band, field_id, compressed=False))
    write_frame(path, replace(frame, band=band, field_id=field_id), "test")


@pytest.fixture(scope="module")
def frame():
    """Noise with twenty round stars on it, on a grid."""
    rng = np.random.default_rng(0)
    flux = rng.normal(0, 0.03, SHAPE)
    sigma = FWHM_PX / 2.3548
    rows, columns = np.mgrid[-20:21, -20:21]
    star = np.exp(-(rows**2 + columns**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    for y in range(60, 600, 150):
        for x in range(100, 1000, 200):
            flux[y - 20 : y + 21, x - 20 : x + 21] += rng.uniform(30, 90) * star
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crpix, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [501, 301], [336.66, -0.93]
    wcs.wcs.cd = [[0, 0.396 / 3600], [0.396 / 3600, 0]]
    calibration = np.full(SHAPE[1], 0.005, np.float32)
    sky = np.full(sky_shape(SHAPE), 150, np.float32)
    return FullFrame(FIELDS[0], "r", keep_significant_bits(flux.astype(np.float32)), wcs, 0.005, calibration, sky)


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


def test_local_frames_are_taken_over_unchanged_with_what_they_hold(survey, tmp_path, frame):
    (survey / "notes.txt").write_text("not a frame")
    out = tmp_path / "data" / "frames"
    manifest = collect(survey, out)
    assert Manifest.read(out) == manifest
    names = [row.name for row in manifest.frames]
    assert manifest.source == "local"
    assert [(refusal.file, refusal.harmless) for refusal in manifest.refused] == [("notes.txt", True)]
    assert names == [frame_name(band, field_id, compressed=False) for field_id in FIELDS for band in "gr"]
    sources = [sources_name(field_id) for field_id in FIELDS]
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, *sources, "frames.parquet", "quarantine.csv"])
    assert all(row.sha256 == sha256_file(survey / row.name) == sha256_file(out / row.name) for row in manifest.frames)
    first = manifest.frames[0]
    assert (first.band, first.field_id, first.gain_e_per_count) == ("g", FIELDS[0], 3.32)
    assert first.nmgy_per_count == pytest.approx(0.005)
    assert first.sky_noise_nmgy == pytest.approx(0.03, rel=0.01)
    of_halves = {half: pixel_noise(flux) for half, flux in halves_of(read_frame(out / first.name).flux_nmgy).items()}
    assert {"left": first.sky_noise_left_nmgy, "right": first.sky_noise_right_nmgy} == of_halves
    assert of_halves["left"] != of_halves["right"]
    levels = {half: sky_level(flux) for half, flux in halves_of(read_frame(out / first.name).flux_nmgy).items()}
    assert {half: first.level_of(half) for half in levels} == levels
    assert first.psf_fwhm_arcsec == pytest.approx(0.396 * FWHM_PX, rel=0.03)
    assert first.psf_stars == 20
    centre = [float(value) for value in frame.wcs.all_pix2world(499.5, 299.5, 0)]
    assert [first.ra_deg, first.dec_deg] == pytest.approx(centre)
    found, _ = read_inspection(out / sources[0])
    assert len(found) >= 20


def test_the_folder_is_the_same_bytes_again(survey, tmp_path):
    collect(survey, tmp_path / "first")
    collect(survey, tmp_path / "second")
    assert sha256_folder(tmp_path / "first") == sha256_folder(tmp_path / "second")


def test_a_bad_file_is_left_out_with_its_field_and_the_run_goes_on(survey, tmp_path):
    plain = survey / "frame-r-004510-4-0030.fits"
    content = plain.read_bytes()
    plain.unlink()
    plain.write_bytes(content[:-2880])
    out = tmp_path / "frames"
    manifest = collect(survey, out)
    rows = list(csv.DictReader((out / "quarantine.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == ["frame-g-004510-4-0030.fits", plain.name]
    assert rows[0]["cause"] == "field 4510-4-30 has no usable frame in r"
    assert rows[0]["remedy"] == "supply frame-r-004510-4-0030.fits.bz2"
    assert "cut short" in rows[1]["cause"]
    assert len(manifest.frames) == 6
    assert not list(out.glob("*4510*"))


def test_what_cannot_be_used_is_left_out_with_the_reason(survey, tmp_path, frame):
    write(frame, survey, "u", FIELDS[0])
    write(frame, survey, "r", FIELDS[0], "frame-r-000002-1-0012.fits")
    shutil.copy(survey / "frame-r-000094-1-0012.fits", survey / "frame-r-000094-1-0013.fits")
    write(replace(frame, flux_nmgy=keep_significant_bits(noise())), survey, "r", FieldId(3, 1, 12))
    write(replace(frame, flux_nmgy=keep_significant_bits(noise())), survey, "g", FieldId(3, 1, 12))
    (survey / "frame-r-000001-1-0001.fits").write_text("no sky here")
    (survey / "frame-1.fits").write_text("")
    (survey / "fpC-000094-r1-0012.fit.gz").write_text("")
    (survey / "photoObj-000094-1-0012.fits").write_text("")
    manifest = collect(survey, tmp_path / "frames")
    expected = {
        "fpC-000094-r1-0012.fit.gz": "it is an old fpC image: raw counts on a soft bias of 1000",
        "frame-1.fits": "its name is not a frame's",
        "frame-g-000003-1-0012.fits": "field 3-1-12: fewer than 5",
        "frame-r-000001-1-0001.fits": "it is not FITS",
        "frame-r-000002-1-0012.fits": "its name ('r', 2, 1",
        "frame-r-000003-1-0012.fits": "field 3-1-12: fewer than 5",
        "frame-r-000094-1-0013.fits": "field ('r', 94, 1, 12), its name ('r', 94, 1, 13)",
        "frame-u-000094-1-0012.fits": "no tile set uses band u",
        "photoObj-000094-1-0012.fits": "its name is not a frame's",
    }
    assert list(causes(manifest)) == list(expected)
    assert {file: words for file, words in expected.items() if words not in causes(manifest)[file]} == {}
    assert all(refusal.remedy for refusal in manifest.refused)
    assert len(manifest.frames) == 8


def noise():
    return np.random.default_rng(1).normal(0, 0.03, SHAPE).astype(np.float32)


def test_of_the_same_frame_twice_a_good_one_is_used(survey, tmp_path, frame):
    write(frame, survey, "r", FIELDS[0], "frame-r-000094-1-0012.fits.bz2")
    (survey / "first").mkdir()
    (survey / "first" / "frame-g-000094-1-0012.fits").write_bytes(b"")
    manifest = collect(survey, tmp_path / "frames")
    assert causes(manifest) == {
        "first/frame-g-000094-1-0012.fits": "the file is empty",
        "frame-r-000094-1-0012.fits": "it is the same frame as frame-r-000094-1-0012.fits.bz2",
    }
    assert [row.name for row in manifest.frames[:2]] == ["frame-g-000094-1-0012.fits", "frame-r-000094-1-0012.fits.bz2"]
    assert len(manifest.frames) == 8


def test_files_are_checked_against_the_folders_sums(survey, tmp_path):
    listed = sorted(survey.iterdir())
    wrong = listed[0]
    lines = [f"{'0' * 64 if path == wrong else sha256_file(path)}  {path.name}\n" for path in listed[:3]]
    (survey / "SHA256SUMS").write_text("".join(lines))
    manifest = collect(survey, tmp_path / "frames")
    assert causes(manifest)[wrong.name] == "its SHA-256 is not the one that SHA256SUMS lists"
    assert len(manifest.refused) == 2  # with the field's other band
    assert len(manifest.frames) == 6


def test_sums_that_are_none_cost_the_frames_of_their_folder_and_no_others(survey, tmp_path):
    """One of four fields has its frames in a folder with a bad file: three are enough."""
    (survey / "bad").mkdir()
    for band in "gr":
        name = f"frame-{band}-000094-1-0012.fits"
        (survey / name).rename(survey / "bad" / name)
    (survey / "bad" / "SHA256SUMS").write_text("\nwhat is this\n")
    manifest = collect(survey, tmp_path / "frames")
    why = "line 2: not a SHA-256 and a file's name"
    assert causes(manifest) == {
        "bad/SHA256SUMS": why,
        **{f"bad/frame-{b}-000094-1-0012.fits": f"it cannot be checked by bad/SHA256SUMS: {why}" for b in "gr"},
    }
    assert len(manifest.frames) == 6


def test_too_few_fields_is_an_error_that_names_the_files_and_changes_nothing(survey, tmp_path):
    out = tmp_path / "data" / "frames"
    collect(survey, out)
    before = sha256_folder(out)
    for name in ("frame-g-000094-1-0012.fits", "frame-r-001035-6-0017.fits"):
        (survey / name).unlink()
        (survey / name).write_bytes(b"")
    with pytest.raises(FramesError, match=r"2 fields are usable in g, r, but frames.min_fields asks for 3") as raised:
        collect(survey, out)
    assert "\n  frame-g-000094-1-0012.fits: the file is empty; fetch the file again" in str(raised.value)
    assert "\n  frame-r-001035-6-0017.fits: the file is empty; fetch the file again" in str(raised.value)
    assert sha256_folder(out) == before


def test_how_many_fields_are_enough_is_a_parameter(survey, tmp_path):
    with pytest.raises(FramesError, match=r"4 fields are usable in g, r, but frames.min_fields asks for 5"):
        collect(survey, tmp_path / "frames", min_fields=5)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_run_that_was_stopped_goes_on_with_the_fields_it_had_done(survey, tmp_path, monkeypatch, lost):
    """The third field's inspection stops the first run; the second inspects of the first two what has lost a file."""
    inspected = []
    inspect_field = field_job.inspect_field

    def inspect(frames):
        inspected.append(frames["r"].field_id)
        if len(inspected) == 3:
            raise KeyboardInterrupt
        return inspect_field(frames)

    out = tmp_path / "data" / "frames"
    with monkeypatch.context() as patch:
        patch.setattr(field_job, "inspect_field", inspect)
        with pytest.raises(KeyboardInterrupt):
            collect(survey, out)
        assert not out.exists()
        for path in [*out.parent.glob(f".frames.*.part/{sources_name(FIELDS[0])}")][:lost]:
            path.unlink()
        collect(survey, out)
    assert inspected == [*FIELDS[:3], *FIELDS[:lost], *FIELDS[2:]]
    assert [path.name for path in out.parent.iterdir()] == ["frames"]
    collect(survey, tmp_path / "whole")
    assert sha256_folder(out) == sha256_folder(tmp_path / "whole")


def test_a_file_mended_between_two_runs_is_looked_at_again(survey, tmp_path):
    name = "frame-g-000094-1-0012.fits"
    good = (survey / name).resolve()
    (survey / name).unlink()
    (survey / name).write_bytes(b"")
    with pytest.raises(FramesError, match="3 fields are usable"):
        collect(survey, tmp_path / "frames", min_fields=4)
    (survey / name).unlink()
    (survey / name).symlink_to(good)
    assert collect(survey, tmp_path / "frames", min_fields=4).refused == []


def test_a_new_run_replaces_the_old_frames(survey, tmp_path):
    out = tmp_path / "frames"
    collect(survey, out)
    for path in survey.glob("*-000094-*"):
        path.unlink()
    collect(survey, out)
    assert len(list(out.glob("frame-*"))) == 6
    assert not list(out.glob("*-000094-*"))


@pytest.mark.parametrize("missing", [True, False])
def test_an_empty_or_missing_folder_says_what_to_put_where(tmp_path, missing):
    survey = tmp_path / "mine"
    if not missing:
        survey.mkdir()
    with pytest.raises(FramesError, match=r"mine (is not a folder|holds no frames); put .*frame-BAND-RUN"):
        collect(survey, tmp_path / "frames")
    assert not (tmp_path / "frames").exists()


def test_downloaded_frames_are_linked_and_what_is_missing_is_listed(survey, tmp_path, monkeypatch):
    """The download itself, over HTTP, is tested beside it: here its results are those of a folder."""
    fields = [*FIELDS, FieldId(1, 1, 1), FieldId(2, 1, 1)]
    paths = sorted(path.resolve() for path in survey.iterdir())
    lost = [Missing(field, frame_name("g", field), "the server has no such file (404)", "none") for field in fields[4:]]
    monkeypatch.setattr("skygen.sky.collect.choose_fields", lambda survey, count, downloads: fields)
    monkeypatch.setattr("skygen.sky.collect.download_frames", lambda survey, fields, bands, downloads: (paths, lost))
    manifest = collect_frames(params(source="sdss"), tmp_path / "data" / "frames")
    assert (manifest.source, len(manifest.frames), {row.origin for row in manifest.frames}) == (
        "sdss",
        8,
        {"the survey"},
    )
    assert set(causes(manifest).values()) == {"the server has no such file (404)"}
    assert len(manifest.refused) == 2
    assert (tmp_path / "data" / "frames" / paths[0].name).samefile(paths[0])


def test_where_the_file_system_has_no_links_downloads_are_copied(survey, tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    paths = sorted(path.resolve() for path in survey.iterdir())
    monkeypatch.setattr("skygen.sky.collect.choose_fields", lambda survey, count, downloads: FIELDS)
    monkeypatch.setattr("skygen.sky.collect.download_frames", lambda survey, fields, bands, downloads: (paths, []))
    collect_frames(params(source="sdss"), tmp_path / "frames")
    assert not (tmp_path / "frames" / paths[0].name).samefile(paths[0])
    assert sha256_file(tmp_path / "frames" / paths[0].name) == sha256_file(paths[0])


def test_simulated_frames_are_the_same_for_the_same_seed_whoever_makes_them(tmp_path, monkeypatch):
    def simulate(seed, name):
        known = params(source="simulated", seed=seed)
        few = known.chosen.model_copy(update={"frames": known.chosen.frames.model_copy(update={"fields": 3})})
        known = known.model_copy(update={"scales": known.scales | {known.scale: few}})
        return collect_frames(known, tmp_path / name, SHAPE)

    manifest = simulate(7, "first")
    assert (manifest.source, len(manifest.frames), manifest.refused) == ("simulated", 6, [])
    assert {row.origin for row in manifest.frames} == {f"simulated, seed 7, field {index}" for index in range(3)}
    assert all(read_frame(tmp_path / "first" / row.name).field_id == row.field_id for row in manifest.frames)
    monkeypatch.setenv("SKYGEN_PROCESSES", "2")
    simulate(7, "again")
    assert sha256_folder(tmp_path / "first") == sha256_folder(tmp_path / "again")


def test_a_band_that_is_not_simulated_is_an_error(tmp_path):
    with pytest.raises(FramesError, match="ask for z, but the simulation makes g, r, i"):
        collect_frames(params(bands=("r", "z"), source="simulated"), tmp_path / "frames")
