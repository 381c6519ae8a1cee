"""Learning curves: the losses, and what a training measured, by images seen."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

_COLUMNS = 3


def draw_curves(history: Sequence[Mapping[str, float]]) -> Figure:
    """A panel of both losses, and one of each validation metric, over the `images_seen` of the rows of `history`."""
    keys = [key for key in (history[0] if history else {}) if key.startswith("validation_")]
    panels = {"losses": ["discriminator_loss", "generator_loss"], **{key: [key] for key in keys}}
    rows = math.ceil(len(panels) / _COLUMNS)
    figure = Figure(figsize=(4 * _COLUMNS, 3 * rows), layout="constrained")
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    images_seen = [row["images_seen"] for row in history]
    for place, (title, names) in zip(axes, panels.items(), strict=False):
        for name in names:
            place.plot(images_seen, [row[name] for row in history], marker=".", label=name)
        place.set(title=title.replace("_", " "), xlabel="images seen")
    axes[0].legend()
    for place in axes[len(panels) :]:
        place.remove()
    return figure
