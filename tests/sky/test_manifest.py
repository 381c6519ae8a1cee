import pytest

from skygen.files import sha256_folder
from skygen.sky.field import FieldId, frame_name
from skygen.sky.manifest import FrameRow, FramesError, Manifest, Refusal, make_manifest

FIELDS = [FieldId(94, 1, 12), FieldId(1035, 6, 17), FieldId(4510, 4, 30), FieldId(7264, 3, 111)]


def row(field_id, band="r"):
    return FrameRow(
        name=frame_name(band, field_id),
        sha256="",
        run=field_id.run,
        camcol=field_id.camcol,
        field=field_id.field,
        band=band,
        origin="",
        ra_deg=1.0,
        dec_deg=2.0,
        sky_noise_nmgy=0.03,
        sky_noise_left_nmgy=0.028,
        sky_level_left_nmgy=0.001,
        sky_level_right_nmgy=-0.002,
        sky_noise_right_nmgy=0.032,
        nmgy_per_count=0.005,
        gain_e_per_count=4.7,
        psf_fwhm_arcsec=1.3,
        psf_stars=50,
        stars_arcmin2=1.0,
        galaxies_arcmin2=1.0,
    )


def test_a_manifest_is_read_as_it_was_written_and_is_the_same_bytes_each_time(tmp_path):
    refused = [Refusal(file="b, c", cause='of "a" kind', remedy="one;\ntwo"), Refusal(file="a", cause="x", remedy="y")]
    rows = [row(field_id, band) for field_id in FIELDS[::-1] for band in "rg"]
    manifest = make_manifest("sdss", rows, refused, ["g", "r"], 3)
    assert [(row.field_id, row.band) for row in manifest.frames] == [(field, band) for field in FIELDS for band in "gr"]
    assert [refusal.file for refusal in manifest.refused] == ["a", "b, c"]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        manifest.write(tmp_path / name)
    assert Manifest.read(tmp_path / "one") == manifest
    assert sha256_folder(tmp_path / "one") == sha256_folder(tmp_path / "two")


@pytest.mark.parametrize("name", ["frames.parquet", "quarantine.csv"])
def test_a_missing_or_damaged_manifest_says_what_to_do(tmp_path, name):
    make_manifest("local", [row(field_id) for field_id in FIELDS], [], ["r"], 3).write(tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(b"\xff" + content[1 : len(content) // 2])
    with pytest.raises(FramesError, match=r"is damaged .*run the stage frames again"):
        Manifest.read(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: no such file; run the stage frames"):
        Manifest.read(tmp_path)
