"""What a frame's file holds once it is unpacked: its first bytes say how it is packed, whatever its name.

Nothing is unpacked beyond the size of a frame, however much a damaged or hostile file promises.
"""

import bz2
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from skygen.sky.frame_file import AGAIN, MAX_BYTES, UnusableError
from skygen.sky.tiled import is_tiled, without_tiles

_STREAMS: dict[bytes, tuple[str, Callable[[], Any]]] = {
    b"BZh": ("bz2", bz2.BZ2Decompressor),
    b"\x1f\x8b": ("gzip", partial(zlib.decompressobj, 16 + zlib.MAX_WBITS)),
}
_MAX_STREAMS = 10_000  # in one file: parallel packers write one for every 100 kB or more
_FED_BYTES = 1 << 18  # at once: what follows a stream's end is copied for each of them
_LAYERS = 2  # a server may have packed once more what was packed
_NOT_READ = {
    b"\x1f\x9d": ("by compress (.Z)", "uncompress"),
    b"PK\x03\x04": ("as .zip", "unzip"),
    b"\xfd7zXZ\0": ("as .xz", "xz -d"),
    b"\x28\xb5\x2f\xfd": ("as .zst", "zstd -d"),
    b"7z\xbc\xaf\x27\x1c": ("as .7z", "7z x"),
    b"\x04\x22\x4d\x18": ("as .lz4", "lz4 -d"),
}


def unpack(raw: bytes) -> bytes:
    """The FITS file that `raw` is or holds, in bz2 or gzip streams or in compressed images (.fz).

    Raises `UnusableError` where it is packed in another way, damaged, or holds more than a frame. What is neither
    packed nor FITS comes back as it is.
    """
    for _ in range(_LAYERS):
        name, decoder = next((found for magic, found in _STREAMS.items() if raw.startswith(magic)), ("", None))
        if decoder is None:
            break
        raw = _decode(raw, name, decoder)
        if not raw:
            raise UnusableError(f"its {name} unpacks to nothing")
    for magic, (how, program) in _NOT_READ.items():
        if raw.startswith(magic):
            raise UnusableError(f"it is packed {how}, which is not read", f"unpack it with `{program}`")
    if raw[:512].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise UnusableError("it is a web page, perhaps an error's, in the frame's place", AGAIN)
    if raw.startswith(b"version https://git-lfs."):
        raise UnusableError("it only points to a file that Git LFS keeps", "fetch the file with `git lfs pull`")
    return without_tiles(raw) if is_tiled(raw) else raw


def _decode(raw: bytes, name: str, new_decoder: Callable[[], Any]) -> bytes:
    """What the streams in `raw` hold; raises `UnusableError` where they are damaged, or hold more than a frame."""
    parts, left, streams, decoder = [], MAX_BYTES + 1, 0, None
    for start in range(0, len(raw), _FED_BYTES):
        fed = raw[start : start + _FED_BYTES]
        while fed := fed if decoder or name == "bz2" or not streams else fed.lstrip(b"\0"):  # gzip may be padded
            if decoder is None:
                streams += 1
                decoder = new_decoder()
            try:
                parts.append(decoder.decompress(fed, left))
            except (OSError, ValueError, zlib.error) as error:
                raise UnusableError(f"{name} cannot decode it ({error})") from error
            left -= len(parts[-1])
            if left == 0:
                raise UnusableError(f"it decodes to more than {MAX_BYTES} bytes, which is no frame")
            if streams > _MAX_STREAMS:
                cause = f"it consists of more than {_MAX_STREAMS} {name} streams, which is no frame"
                raise UnusableError(cause, "unpack it, and pack it again in one stream")
            fed, decoder = decoder.unused_data, None if decoder.eof else decoder
    if decoder is not None:
        raise UnusableError(f"{name} cannot decode it (its end is missing): it is cut short")
    return b"".join(parts)
