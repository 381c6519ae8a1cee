"""Damaged frames: refused, or provably harmless. What an uncompressed file cannot show has its harm bounded."""

import bz2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from skygen.sky.frame import FrameError, read_frame
from skygen.sky.frame_file import take_apart

ROOT = Path(__file__).parents[2]
SURVEY = ROOT.parent / "shared" / "sdss"
NAME = "frame-r-000094-1-0012.fits"
SHAPE = (16, 2048)
CORNERS = ([0, 2047, 0, 2047, 1023.5], [0, 0, 15, 15, 7.5])
FUZZ = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
FLIPS = st.lists(
    st.tuples(st.integers(0, 11), st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3
)


@pytest.fixture
def small(monkeypatch, tmp_path, frame_bytes):
    """A frame with few rows: its path, its bytes, what they read as, and where its parts begin."""
    monkeypatch.setattr("skygen.sky.frame.SHAPE", SHAPE)
    flux = np.random.default_rng(0).normal(0, 0.03, SHAPE).astype(np.float32)
    flux[8, 1000:1010] = 50
    path = tmp_path / NAME
    path.write_bytes(frame_bytes(NAME, flux, SOFTBIAS=1000))
    return Small(path)


class Small:
    def __init__(self, path):
        self.path, self.content, self.frame = path, path.read_bytes(), read_frame(path)
        starts = [0]
        for hdu in take_apart(self.content):
            data = len(self.content) - len(self.content[starts[-1] :]) + self._header_bytes(starts[-1])
            padded = data + hdu.data.nbytes + -hdu.data.nbytes % 2880
            starts += [data, padded]
        self.starts = starts  # header, data, header, data ... end

    def _header_bytes(self, start):
        end = self.content.index(b"END".ljust(80), start) + 80 - start
        return end + -end % 2880

    def place(self, part, share):
        """A byte in one of the eight parts; the parts of little weight, the headers and asTrans, come up more often."""
        part = (0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 6, 7)[part]
        start, end = self.starts[part : part + 2]
        return start + int(share * (min(end, start + 216 if part == 7 else end) - start))

    def accepted(self, content):
        """What `content` reads as; None where it is refused, in one line."""
        self.path.write_bytes(content)
        try:
            return read_frame(self.path)
        except FrameError as error:
            refused = error
        assert str(refused) == f"{NAME}: {refused.cause}; {refused.remedy}"
        assert "\n" not in str(refused)
        assert refused.cause
        assert refused.remedy
        return None


def apart_arcsec(one, other):
    """The most by which two WCS differ over the frame."""
    (ra, dec), (other_ra, other_dec) = (frame.wcs.all_pix2world(*CORNERS, 0) for frame in (one, other))
    return 3600 * np.hypot((ra - other_ra) * np.cos(np.radians(dec)), dec - other_dec).max()


@FUZZ
@given(flips=FLIPS)
@example(flips=[(0, 0.0, 1)])
def test_flipped_bits_of_an_uncompressed_frame_are_refused_or_do_bounded_harm(small, flips):
    """An accepted frame has at most as many other pixels as bits were flipped, all within what a CCD can hold."""
    content = bytearray(small.content)
    for part, share, bits in flips:
        content[small.place(part, share)] ^= bits
    frame = small.accepted(bytes(content))
    if frame is not None:
        changed = frame.flux_nmgy != small.frame.flux_nmgy
        assert changed.sum() <= len(flips)
        assert -1.26 < frame.flux_nmgy.min() <= frame.flux_nmgy.max() < 394  # 250 counts below, 1.2 full wells
        assert frame.nmgy_per_count == pytest.approx(small.frame.nmgy_per_count, rel=1e-6)
        assert apart_arcsec(frame, small.frame) < 0.9  # 0.2 in mean and in either slope, in both directions
        assert (frame.band, frame.field_id) == (small.frame.band, small.frame.field_id)


def test_of_single_flipped_bits_no_more_than_these_go_unnoticed(small):
    """Flips by the kind of byte: those of a pixel's sign or scale cannot be noticed, nor those of what is not used."""
    rng = np.random.default_rng(0)

    def unnoticed(part, tries=200):
        start, end = small.starts[part : part + 2]
        found = []
        for place in rng.integers(start, end, tries):
            content = bytearray(small.content)
            content[place] ^= 1 << rng.integers(8)
            frame = small.accepted(bytes(content))
            if frame is not None:
                found.append(apart_arcsec(frame, small.frame))
        return len(found) / tries, max(found, default=0)

    pixels, _ = unnoticed(1)
    assert pixels < 0.6  # 14 of 32 bits must be zero, and most of the exponent's lead beyond the full well
    for part in (0, 6):
        _, moved = unnoticed(part)
        assert moved < 0.3


@FUZZ
@given(start=st.floats(0, 1), length=st.integers(1, 20000), filler=st.sampled_from([None, b"\0", b"\xff", b" ", b"<"]))
def test_a_stretch_that_is_lost_or_overwritten_is_refused_or_harmless(small, start, length, filler):
    place = int(start * len(small.content))
    rest = small.content[place + length :]
    lost = len(small.content) - place - len(rest)
    frame = small.accepted(small.content[:place] + (filler * lost if filler else b"") + rest)
    if frame is not None:  # where nothing lies that is used, or zeros under a FITS block long
        changed = frame.flux_nmgy[frame.flux_nmgy != small.frame.flux_nmgy]
        assert len(changed) <= 720
        assert np.count_nonzero(changed) <= 2  # at the stretch's ends
        assert -1.26 < frame.flux_nmgy.min() <= frame.flux_nmgy.max() < 394
        assert frame.nmgy_per_count == pytest.approx(small.frame.nmgy_per_count, rel=1e-6)
        assert apart_arcsec(frame, small.frame) < 0.9


@FUZZ
@given(first=st.integers(0, 10**6), second=st.integers(0, 10**6))
def test_blocks_that_changed_places_are_refused_or_keep_every_pixel(small, first, second):
    blocks = [small.content[start : start + 2880] for start in range(0, len(small.content), 2880)]
    first, second = first % len(blocks), second % len(blocks)
    blocks[first], blocks[second] = blocks[second], blocks[first]
    frame = small.accepted(b"".join(blocks))
    if frame is not None:
        assert np.array_equal(np.sort(frame.flux_nmgy, axis=None), np.sort(small.frame.flux_nmgy, axis=None))
        assert frame.nmgy_per_count == pytest.approx(small.frame.nmgy_per_count, rel=1e-6)
        assert apart_arcsec(frame, small.frame) < 0.9


@FUZZ
@given(
    content=st.binary(max_size=6000),
    suffix=st.sampled_from(["", ".bz2"]),
    head=st.sampled_from([b"", b"BZh9", b"SIMPLE  ="]),
)
def test_bytes_of_any_kind_are_refused(small, content, suffix, head):
    path = small.path.with_name(NAME + suffix)
    for raw in (head + content, bz2.compress(head + content)):
        path.write_bytes(raw)
        with pytest.raises(FrameError):
            read_frame(path)


@FUZZ
@given(cards=st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80), max_size=60))
def test_cards_of_any_kind_are_refused_or_harmless(small, cards):
    """Any text in place of the header's further cards: those it needs stand before them."""
    header = small.content[: small.starts[1]]
    own = [header[start : start + 80] for start in range(0, header.index(b"END".ljust(80)), 80)]
    text = b"".join([*own, *(card.ljust(80).encode() for card in cards), b"END".ljust(80)])
    frame = small.accepted(text + b" " * (-len(text) % 2880) + small.content[small.starts[1] :])
    if frame is not None:
        assert np.array_equal(frame.flux_nmgy, small.frame.flux_nmgy)
        assert apart_arcsec(frame, small.frame) == 0
