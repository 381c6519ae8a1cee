"""Frames however they are packed and whatever they are called; what is not read says what to do; nothing explodes."""

import bz2
import gzip
import io
import lzma
import time
import tracemalloc
import zipfile
import zlib
from functools import cache

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skygen.sky.frame import FrameError, read_frame
from skygen.sky.frame_file import MAX_BYTES, UnusableError
from skygen.sky.noise import pixel_noise
from skygen.sky.unpack import unpack
from tests.sky.frame_files import FLUX, NAME, cause


def pieces(content, size):
    return [content[start : start + size] for start in range(0, len(content), size)]


def tiled(content, packing="RICE_1", level=16.0, **changes):
    """The frame in `content` as fpack packs it: an empty HDU, its image in tiles, the rest as it was."""
    stream = io.BytesIO()
    with fits.open(io.BytesIO(content)) as hdus:
        image = fits.CompImageHDU(
            hdus[0].data, hdus[0].header, compression_type=packing, quantize_level=level, **changes
        )
        fits.HDUList([fits.PrimaryHDU(), image, *hdus[1:]]).writeto(stream, checksum=True)
    return stream.getvalue()


def without_loss(content):
    return tiled(content, "GZIP_2", 0.0)


PACKINGS = {
    "plain": lambda content: content,
    "bz2": lambda content: bz2.compress(content, 1),
    "gzip": lambda content: gzip.compress(content, 1),
    "many bz2": lambda content: b"".join(bz2.compress(piece, 1) for piece in pieces(content, 8_000)),
    "many gzip": lambda content: b"".join(gzip.compress(piece, 1) for piece in pieces(content, 8_000)),
    "blocked gzip": lambda content: b"".join(gzip.compress(piece, 1) for piece in [*pieces(content, 65_280), b""]),
    "padded gzip": lambda content: gzip.compress(content, 1) + bytes(512),
    "tiled": without_loss,
    "tiled in gzip": lambda content: gzip.compress(without_loss(content), 1),
    "bz2 in gzip": lambda content: gzip.compress(bz2.compress(content, 1)),
}
NAMES = [NAME, NAME + ".bz2", NAME + ".gz", NAME + ".fz", NAME.upper() + ".BZ2", NAME + ".Z"]


@cache
def packed_as(packing, content):
    """Packed once for all names."""
    return PACKINGS[packing](content)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("packing", PACKINGS)
def test_the_content_says_how_a_frame_is_packed_whatever_its_name(written, packing, name):
    plain = written()
    path = plain.with_name(name)
    path.write_bytes(packed_as(packing, plain.read_bytes()))
    frame = read_frame(path)
    assert (frame.band, str(frame.field_id)) == ("r", "94-1-12")
    assert np.array_equal(frame.flux_nmgy, FLUX)


@pytest.mark.parametrize(
    ("packing", "level", "changes"),
    [
        ("RICE_1", 16, {}),
        ("RICE_1", 4, {"quantize_method": 1}),
        ("RICE_1", 4, {"quantize_method": 2}),
        ("RICE_1", 4, {"tile_shape": (100, 100)}),
        ("GZIP_1", 4, {}),
        ("GZIP_2", 16, {}),
        ("NOCOMPRESS", 0, {}),
    ],
)
def test_images_packed_in_tiles_come_back_to_a_small_part_of_their_noise(written, packing, level, changes):
    path = written()
    path.write_bytes(tiled(path.read_bytes(), packing, level, **changes))
    flux = read_frame(path).flux_nmgy
    assert np.abs(flux - FLUX).max() <= (0.7 * pixel_noise(FLUX) / level if level else 0)
    assert pixel_noise(flux) == pytest.approx(pixel_noise(FLUX), rel=0.01)
    assert not (flux.view(np.uint32) & 0x3FFF).any()


def test_images_that_lost_too_much_are_refused(written):
    path = written()
    path.write_bytes(tiled(path.read_bytes(), level=1.0))
    assert "it was packed with loss, in steps of" in cause(path)
    assert "`fpack -g -q 0`" in cause(path)


@pytest.mark.parametrize(
    ("pack", "words"),
    [
        (lambda content: b"\x1f\x9d\x90" + content, "it is packed by compress (.Z), which is not read; unpack it with"),
        (
            lambda content: lzma.compress(content[:9000]),
            "it is packed as .xz, which is not read; unpack it with `xz -d`",
        ),
        (lambda content: zipped(content[:9000]), "it is packed as .zip, which is not read; unpack it with `unzip`"),
        (lambda content: b"\x28\xb5\x2f\xfd" + content, "unpack it with `zstd -d`"),
        (lambda content: gzip.compress(lzma.compress(b"")), "unpack it with `xz -d`"),
        (lambda content: b"\n<!DOCTYPE html><title>503</title>", "it is a web page, perhaps an error's"),
        (lambda content: b'<?xml version="1.0"?><Error>AccessDenied</Error>', "it is a web page, perhaps an error's"),
        (lambda content: gzip.compress(b"<html>Sign in</html>"), "it is a web page, perhaps an error's"),
        (lambda content: b"version https://git-lfs.github.com/spec/v1\n", "fetch the file with `git lfs pull`"),
        (lambda content: b"", "the file is empty"),
        (lambda content: gzip.compress(b""), "its gzip unpacks to nothing"),
        (lambda content: tiled(content, "HCOMPRESS_1", tile_shape=(32, 32)), "unpack it with `funpack`"),
    ],
)
@pytest.mark.parametrize("name", [NAME, NAME + ".bz2"])
def test_what_is_not_read_says_what_to_do(written, pack, words, name):
    path = written()
    content = pack(path.read_bytes())
    path = path.with_name(name)
    path.write_bytes(content)
    assert words in cause(path)


def zipped(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(NAME, content)
    return stream.getvalue()


def gzip_tiles(content, bomb):
    """A tiled frame in gzip whose first tile is `bomb`, at the end of its heap."""
    stream = io.BytesIO()
    with fits.open(io.BytesIO(without_loss(content)), disable_image_compression=True) as hdus:
        tiles = [np.frombuffer(bomb, np.uint8), *hdus[1].data["COMPRESSED_DATA"][1:]]
        column = fits.Column("COMPRESSED_DATA", "1PB()", array=np.array(tiles, object))
        header = hdus[1].header.copy()
        for key in ("CHECKSUM", "DATASUM"):
            del header[key]
        fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column], header)]).writeto(stream)
    return stream.getvalue()


def wide(content, key, value):
    """A tiled frame whose header claims another size."""
    card = fits.Card(key, value).image.encode()
    packed = bytearray(without_loss(content))
    start = packed.index(f"{key:8}=".encode())
    packed[start : start + 80] = card
    return bytes(packed)


BOMBS = {
    "bz2": lambda content: bz2.compress(bytes(500_000_000)),
    "gzip": lambda content: zlib.compress(bytes(500_000_000), wbits=31),
    "gzip in gzip": lambda content: gzip.compress(gzip.compress(bytes(300_000_000))),
    "many bz2": lambda content: bz2.compress(bytes(1_000_000)) * 200,
    "empty bz2": lambda content: bz2.compress(b"") * 900_000,
    "small bz2": lambda content: bz2.compress(b"S") * 300_000,
    "empty gzip": lambda content: gzip.compress(b"") * 600_000,
    "gzip in a tile": lambda content: gzip_tiles(content, gzip.compress(bytes(900_000_000), 9)),
    "two in a tile": lambda content: gzip_tiles(content, gzip.compress(bytes(8192)) * 1000),
    "width": lambda content: wide(content, "ZNAXIS1", 2_000_000_000),
    "height": lambda content: wide(content, "ZNAXIS2", 2_000_000_000),
    "tile": lambda content: wide(content, "ZTILE1", 2_000_000_000),
    "pixels": lambda content: wide(content, "ZTILE1", 1),
    "heap": lambda content: wide(content, "PCOUNT", 2_000_000_000),
    "rows": lambda content: wide(content, "NAXIS2", 100_000),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_few_bytes_that_ask_for_memory_or_hours_are_refused(written, kind):
    content = BOMBS[kind](written().read_bytes())[:MAX_BYTES]
    tracemalloc.start()
    begun = time.monotonic()
    with pytest.raises(UnusableError):
        unpack(content)
    seconds, (_, most_bytes) = time.monotonic() - begun, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most_bytes < 5 * MAX_BYTES
    assert seconds < 10


@pytest.fixture
def packed(written):
    """A frame's path, and its content with the image in tiles: made once for all that is done to it."""
    path = written()
    return path, tiled(path.read_bytes())


@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_to_packed_images_is_refused_or_harmless(packed, data):
    path, content = packed[0], bytearray(packed[1])
    place = data.draw(st.integers(0, len(content) - 1) | st.integers(2880, 12_000))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        flux = read_frame(path).flux_nmgy
    except FrameError:
        return
    assert np.abs(flux - FLUX).max() < 0.01


@pytest.mark.parametrize("size", [1, 2881, 20_000])
def test_packed_images_cut_short_are_refused(written, size):
    path = written()
    path.write_bytes(tiled(path.read_bytes())[:-size])
    assert "cut short" in cause(path)
