"""Which format an `Accept` header asks for (RFC 9110, section 12.5.1)."""

from typing import Final

from skygen.formats.encode import MEDIA_TYPES, Format

Chosen = tuple[Format, str]
# FITS has two names (RFC 4047): the one for files comes first, the one for pictures where it is asked for.
_NAMES: Final[list[Chosen]] = [*MEDIA_TYPES.items(), ("fits", "image/fits")]


def choose_format(accept: str | None) -> Chosen | None:
    """The format that a client likes best, and its media type; None where it takes none of ours.

    PNG where it likes several as well. JSON is large and slow: it is given only to who names it.
    """
    if accept is None or not accept.strip():
        return _NAMES[0]
    best = max(_NAMES, key=lambda chosen: _quality(accept, chosen[1]))
    return best if _quality(accept, best[1]) > 0 else None


def _quality(accept: str, media_type: str) -> float:
    """How well a media type is liked, 0 to 1, by the most specific of the ranges that it is in."""
    ranges = {media_type: 2}
    if media_type != MEDIA_TYPES["json"]:
        ranges |= {f"{media_type.split('/', maxsplit=1)[0]}/*": 1, "*/*": 0}
    found = (-1, 0.0)
    for part in accept.split(","):
        name, *parameters = (word.strip().lower() for word in part.split(";"))
        if name in ranges and ranges[name] > found[0]:
            found = (ranges[name], _weight(parameters))
    return found[1]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
