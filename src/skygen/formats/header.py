"""FITS headers that astropy writes once, and in which what differs is filled in: numbers, and the two checksums.

astropy takes over a millisecond to write one tile, as long as a network takes to paint it. Numbers have fixed columns
(FITS 4.0, 4.2), so that its header of a kind of HDU serves all of that kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from astropy.io import fits

from skygen.formats.checksum import encoded_complement, ones_complement_sum

_CARD, _BLOCK = 80, 2880  # bytes
_VALUE = 20  # characters, 11 to 30 of a card: numbers end there, strings begin there


@dataclass(frozen=True)
class Header:
    """A header as whole blocks, and where each card's value begins."""

    content: bytes
    starts: Mapping[str, int]

    @classmethod
    def of(cls, hdu: fits.PrimaryHDU | fits.ImageHDU | fits.BinTableHDU) -> Self:
        """The header of `hdu` with checksums to be filled in."""
        hdu.header["CHECKSUM"] = ("0" * 16, "HDU checksum")  # what it holds while the sum is taken
        hdu.header["DATASUM"] = ("0", "data unit checksum")
        content = hdu.header.tostring().encode("ascii")
        return cls(content, {content[at : at + 8].decode().rstrip(): at + 10 for at in range(0, len(content), _CARD)})

    def size(self, data_bytes: int) -> int:
        """The bytes of an HDU with so many bytes of data, which fill whole blocks."""
        return len(self.content) + -(-data_bytes // _BLOCK) * _BLOCK

    def fill(self, hdu: memoryview, numbers: Mapping[str, int | float]) -> None:
        """Write this header with `numbers`, and the checksums, to `hdu`, which ends in the data."""
        header, data = hdu[: len(self.content)], hdu[len(self.content) :]
        header[:] = self.content
        for key, number in numbers.items():
            self._put(header, key, str(number).upper().rjust(_VALUE))
        of_data = ones_complement_sum(data)
        self._put(header, "DATASUM", f"'{of_data:<8}'".ljust(_VALUE))
        checksum = encoded_complement(ones_complement_sum(header, of_data))
        self._put(header, "CHECKSUM", f"'{checksum}'".ljust(_VALUE))

    def _put(self, header: memoryview, key: str, value: str) -> None:
        header[self.starts[key] : self.starts[key] + _VALUE] = value.encode("ascii")
