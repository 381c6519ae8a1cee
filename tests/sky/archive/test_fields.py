"""Which fields are chosen: those listed, those of a region, or a selection, from the survey's list on a real server."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from skygen.params import Box, Circle
from skygen.sky.archive.download import SurveyError, UnreachableError
from skygen.sky.archive.fields import choose_fields, in_region, read_field_list
from skygen.sky.field import FieldId
from tests.sky.archive.field_lists import changed, grid, joined, places, sky, write_list
from tests.sky.archive.survey_server import LIST, status

PAUSE_S = 0.001


def test_list_keeps_the_rows_of_rerun_301_that_have_a_place(tmp_path):
    written = sky([10, 20, 30, 40, 50, 60], [1, 2, 3, 4, 5, 6])
    written = changed(changed(written, 1, ra_deg=np.nan), 2, dec_deg=np.inf)
    path = write_list(tmp_path / "list.fits", written, rerun=["301", "301", "301", "157", "301", "30"])
    read = read_field_list(path)
    assert read.names(np.arange(2)) == [FieldId(1000, 3, 11), FieldId(1000, 3, 15)]
    assert len(read.run) == 2
    assert read.ra_deg.tolist() == [10, 50]
    assert read.dec_deg.tolist() == [1, 5]
    np.testing.assert_allclose(read.seeing_arcsec, 1.2, rtol=1e-6)
    np.testing.assert_allclose(read.score, 0.9, rtol=1e-6)


def test_a_file_that_is_not_the_list_is_refused_with_what_is_wrong(tmp_path):
    lacking = write_list(tmp_path / "lacking.fits", sky([1], [1]), leave_out=["SCORE", "RERUN"])
    with pytest.raises(SurveyError, match=r"lacking\.fits: no column RERUN, SCORE; remove it"):
        read_field_list(lacking)
    fits.PrimaryHDU(np.zeros((4, 4))).writeto(tmp_path / "image.fits")
    (tmp_path / "page.fits").write_text("<html>")
    for name in ("image.fits", "page.fits", "absent.fits"):
        with pytest.raises(SurveyError, match=rf"{name} is not the survey's list of fields .*remove it"):
            read_field_list(tmp_path / name)


@settings(max_examples=60, deadline=None)
@given(
    ra_deg=st.one_of(st.floats(0, 359.999), st.sampled_from([0.0, 0.01, 359.99])),
    dec_deg=st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 89.9])),
    radius_deg=st.floats(0.5, 90),
)
def test_a_circle_holds_what_astropy_says_is_near(ra_deg, dec_deg, radius_deg):
    rng = np.random.default_rng(0)
    fields = sky(rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000))))
    centre = SkyCoord(ra_deg, dec_deg, unit=u.deg)
    far_deg = SkyCoord(fields.ra_deg, fields.dec_deg, unit=u.deg).separation(centre).deg
    near = np.flatnonzero(far_deg <= radius_deg)
    circle = Circle(ra_deg=ra_deg, dec_deg=dec_deg, radius_deg=radius_deg)
    if len(near):
        assert in_region(fields, circle) == fields.names(near)
    else:
        with pytest.raises(SurveyError, match="no field's centre"):
            in_region(fields, circle)


@pytest.mark.parametrize(
    ("ra_deg", "expected"),
    [([350.0, 20.0], {350, 355, 0, 5, 20}), ([20.0, 350.0], {20, 180, 350}), ([0.0, 5.0], {0, 5}), ([5.0, 5.0], {5})],
)
def test_a_box_runs_eastward_from_its_first_right_ascension(ra_deg, expected):
    fields = sky([340.0 + 10, 355, 0, 5, 20, 180, 0], [0, 0, 0, 0, 0, 0, 8])
    found = places(fields, in_region(fields, Box(ra_deg=ra_deg, dec_deg=[-1.0, 1.0])))
    assert {round(ra) for ra in found.ra.deg} == expected


def test_a_region_gives_every_night_and_is_sorted_by_name():
    fields = joined(sky([10], [5], run=2000), sky([10], [5], run=1000), sky([14], [5], run=500))
    found = in_region(fields, Circle(ra_deg=10.0, dec_deg=5.0, radius_deg=1.0))
    assert found == [FieldId(1000, 3, 11), FieldId(2000, 3, 11)]


def test_a_region_that_the_survey_did_not_look_at_is_an_error_that_names_it():
    with pytest.raises(SurveyError, match=r"frames\.sdss\.region \(ra_deg=.*no field's centre lies in it"):
        in_region(sky([10], [5]), Box(ra_deg=[100.0, 101.0], dec_deg=[0.0, 1.0]))


@pytest.fixture
def survey(server, params, selection, tmp_path):
    """A function: the shipped parameters with the address of a server that has a list, `choose`, nothing reserved."""
    made = write_list(tmp_path / "made.fits", grid((180, 182), (30, 32)))
    server.files[LIST] = made.read_bytes()

    def make(choose, **changes):
        return server.params(params.frames.sdss, choose=choose, selection=selection, attempts=2, **changes)

    return make


def test_listed_fields_need_no_server(survey, server, tmp_path):
    wanted = survey("fields", fields=["94-1-12", "1035-6-17", "94-1-12"])
    assert choose_fields(wanted, 99, tmp_path) == [FieldId(94, 1, 12), FieldId(1035, 6, 17)]
    assert server.requests == []


def test_a_field_that_is_listed_in_two_spellings_is_one(survey, tmp_path):
    wanted = survey("fields", fields=["94-1-12", "000094-1-0012"])
    assert choose_fields(wanted, 5, tmp_path) == [FieldId(94, 1, 12)]


def test_a_listed_field_that_is_none_is_named(survey, tmp_path):
    with pytest.raises(SurveyError, match=r"frames\.sdss\.fields: '94-7-12'"):
        choose_fields(survey("fields", fields=["94-7-12"]), 1, tmp_path)


def test_the_list_is_downloaded_once_for_selection_and_region(survey, server, tmp_path):
    assert len(choose_fields(survey("selection"), 3, tmp_path, PAUSE_S)) == 3
    region = Circle(ra_deg=180.0, dec_deg=30.0, radius_deg=0.1)
    assert choose_fields(survey("region", region=region), 1, tmp_path, PAUSE_S) == [FieldId(1000, 3, 11)]
    assert server.requests == [(LIST, None)]


def test_offline_a_selection_falls_back_to_the_listed_fields_and_says_so(survey, tmp_path, capsys):
    wanted = survey("selection", field_list_url="http://127.0.0.1:9/window_flist.fits", fields=["94-1-12"])
    assert choose_fields(wanted, 2000, tmp_path, PAUSE_S) == [FieldId(94, 1, 12)]
    said = capsys.readouterr().err
    assert "no connection to http://127.0.0.1:9/window_flist.fits" in said
    assert "offline, the 1 fields listed in frames.sdss.fields serve" in said


def test_offline_a_region_is_an_error(survey, tmp_path):
    wanted = survey("region", field_list_url="http://127.0.0.1:9/window_flist.fits")
    with pytest.raises(UnreachableError, match="offline a region's fields are not known: set choose: fields"):
        choose_fields(wanted, 1, tmp_path, PAUSE_S)


@pytest.mark.parametrize("code", [404, 500])
def test_a_server_without_the_list_is_not_taken_for_being_offline(survey, server, tmp_path, code):
    server.faults[LIST] += [status(code)] * 9
    with pytest.raises(SurveyError, match=rf"window_flist\.fits: .*HTTP {code}"):
        choose_fields(survey("selection"), 3, tmp_path, PAUSE_S)
