"""The checksums of the FITS standard (4.0, appendix J): the sum of the data, and what brings that of an HDU to zero."""

import numpy as np

_ALL_ONES = 0xFFFFFFFF
_NOT_DIGITS_OR_LETTERS = frozenset(b":;<=>?@[\\]^_`")


def ones_complement_sum(content: bytes | memoryview, before: int = 0) -> int:
    """The ones' complement sum of `before` and the 32-bit big-endian words of `content`, a multiple of 4 bytes long."""
    total = before + int(np.frombuffer(content, dtype=">u4").sum(dtype=np.uint64))
    while total > _ALL_ONES:
        total = (total & _ALL_ONES) + (total >> 32)
    return total


def encoded_complement(total: int) -> str:
    """The 16 letters and digits that, put into a CHECKSUM card of zeros, bring an HDU's sum `total` to minus zero.

    Each byte of the complement is a sum of four characters, one in each word of the card's value; the value stands one
    byte off the word boundary, hence the last turn (J.2).
    """
    quartets = [_QUARTETS[byte] for byte in (total ^ _ALL_ONES).to_bytes(4, "big")]
    text = "".join(quartet[word] for word in range(4) for quartet in quartets)
    return text[-1] + text[:-1]


def _quartet(byte: int) -> str:
    """Four letters or digits whose codes, less that of the digit 0 each, add up to `byte`."""
    characters = [byte // 4 + ord("0")] * 4
    characters[0] += byte % 4
    while not _NOT_DIGITS_OR_LETTERS.isdisjoint(characters):
        for first, second in ((0, 1), (2, 3)):
            if not _NOT_DIGITS_OR_LETTERS.isdisjoint((characters[first], characters[second])):
                characters[first] += 1
                characters[second] -= 1
    return bytes(characters).decode("ascii")


_QUARTETS = tuple(map(_quartet, range(256)))
