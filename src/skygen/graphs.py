"""Whether a GPU is given its work as CUDA graphs: kernels of fixed shapes, recorded one time and started at once."""

import os


def graphs_wanted() -> bool:
    """Whether `SKYGEN_GRAPHS` leaves CUDA graphs on; raises `ValueError` where it says neither `on` nor `off`."""
    wanted = os.environ.get("SKYGEN_GRAPHS") or "on"
    if wanted not in ("on", "off"):
        raise ValueError(f"SKYGEN_GRAPHS is {wanted!r}; it must be on or off")
    return wanted == "on"
