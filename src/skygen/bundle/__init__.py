"""A bundle at work: the engines that compute its network, and tiles in flux by seed.

Models in MLflow's registry name this module and its `_load_pyfunc` as what loads them, those that were registered when
it was one file too.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skygen.bundle.bundle import Bundle, PaintedError

__all__ = ["Bundle", "PaintedError"]


def __getattr__(name: str) -> Any:
    """`Bundle` and MLflow's entry, found when asked for: torch takes a second, which a tile does not need."""
    if name in (*__all__, "_load_pyfunc"):
        from skygen.bundle import bundle

        return getattr(bundle, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
