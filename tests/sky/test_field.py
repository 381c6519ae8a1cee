import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skygen.sky.field import FieldId, frame_name, parse_frame_name, parse_raw_name, sources_name

FIELDS = st.builds(FieldId, st.integers(1, 999_999), st.integers(1, 6), st.integers(1, 9_999))


@given(st.sampled_from("ugriz"), FIELDS, st.booleans())
def test_a_name_states_band_and_field(band, field_id, compressed):
    assert parse_frame_name(frame_name(band, field_id, compressed)) == (band, field_id)


@pytest.mark.parametrize("suffix", ["", ".bz2", ".gz", ".fz", ".Z", ".zip", ".xz"])
def test_a_name_may_be_in_capitals_and_end_as_packers_do(suffix):
    name = frame_name("r", FieldId(94, 1, 12), compressed=False) + suffix
    assert parse_frame_name(name) == parse_frame_name(name.upper()) == ("r", FieldId(94, 1, 12))


@given(FIELDS)
def test_a_field_is_parsed_from_its_text(field_id):
    assert FieldId.parse(str(field_id)) == field_id


@pytest.mark.parametrize(
    "text", ["94-1", "94-7-12", "94-0-12", "94-1-12-1", "a-1-12", "-94-1-12", "94-1-12 ", "٩٤-1-12", ""]
)
def test_a_text_that_names_no_field_is_refused(text):
    with pytest.raises(ValueError, match=re.escape(f"{text!r} names no field; it must read RUN-CAMCOL-FIELD")):
        FieldId.parse(text)


def test_a_raw_image_is_told_by_its_name():
    assert parse_raw_name("fpC-000094-r1-0012.fit.gz") == ("r", FieldId(94, 1, 12))
    assert parse_raw_name("fpC-000094-r1-0012.fit") == ("r", FieldId(94, 1, 12))
    assert parse_raw_name("frame-r-000094-1-0012.fits") is None
    assert parse_raw_name("fpC-000094-r7-0012.fit") is None


def test_names_are_the_surveys():
    assert sources_name(FieldId(94, 1, 12)) == "sources-000094-1-0012.fits"
    assert frame_name("r", FieldId(94, 1, 12)) == "frame-r-000094-1-0012.fits.bz2"
    assert frame_name("g", FieldId(7264, 3, 111), compressed=False) == "frame-g-007264-3-0111.fits"
    assert str(FieldId(94, 1, 12)) == "94-1-12"


def test_fields_are_ordered_by_run_camcol_and_field():
    fields = [FieldId(94, 2, 1), FieldId(1035, 1, 1), FieldId(94, 1, 12), FieldId(94, 1, 9)]

    assert [str(field) for field in sorted(fields)] == ["94-1-9", "94-1-12", "94-2-1", "1035-1-1"]


@pytest.mark.parametrize(
    "name",
    [
        "frame-y-000094-1-0012.fits",
        "frame-r-94-1-12.fits",
        "frame-r-000094-7-0012.fits",
        "frame-r-000094-0-0012.fits",
        "frame-r-000094-1-0012.fits.txt",
        "frame-r-000094-1-0012.fits.bz2.part",
        "frame-r-000094-1-0012.fits\n",
        "copy of frame-r-000094-1-0012.fits",
        "fpC-000094-r1-0012.fit",
        "",
    ],
)
def test_another_name_is_refused(name):
    with pytest.raises(ValueError, match=re.escape(f"{name!r} is not a frame's name; it must read frame-BAND-RUN")):
        parse_frame_name(name)
