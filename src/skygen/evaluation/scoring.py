"""Measuring generated tiles: every metric with its interval and its controls."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skygen.evaluation.controls import Controls
from skygen.evaluation.intervals import interval, resampled
from skygen.measure.table import Metric, Tiles

SEED = 1979  # of the bootstrap
CONTROLS = ("real_real", "between_fields", "collapsed")  # beside a metric's value
Described = dict[Callable[[Tiles], Any], Any]  # what each metric's `describe` made of a set of tiles


def evaluate(
    fake: NDArray[np.float32], controls: Controls, metrics: Sequence[Metric], replicates: int
) -> dict[str, Any]:
    """A section of metrics.json, groups nested: {key: {"value", "interval": [lo, hi], and the name of each control}}.

    `fake` [N, bands, H, W] in nmgy is compared with `controls.real_b`, and so are the other half of the real tiles
    (`real_real`), real tiles of other fields (`between_fields`) and a generator that knows one tile (`collapsed`), all
    of the same N. The interval is a 95 % bootstrap over the tiles of both sets. Raises `ValueError` for unequal sizes
    and for values that are not finite.
    """
    _check(fake, controls)
    sets = {
        "value": fake,
        "real_real": controls.real_a,
        "between_fields": controls.between_fields,
        "collapsed": controls.collapsed,
    }
    described = {name: _describe(tiles, metrics) for name, tiles in sets.items()}
    real = _describe(controls.real_b, metrics)
    generator = np.random.default_rng(SEED)
    draws = [resampled(len(fake), replicates, generator) for _ in range(2)]
    once = np.ones(len(fake))
    section: dict[str, Any] = {}
    for metric in metrics:
        values = {name: _value(metric, tiles, once, real, once) for name, tiles in described.items()}
        again = [_value(metric, described["value"], ours, real, theirs) for ours, theirs in zip(*draws, strict=True)]
        _put(section, metric.key, {**values, "interval": list(interval(values["value"], np.array(again)))})
    return section


def entries(section: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every metric of a section of metrics.json with its full key, groups joined by a dot."""
    for name, content in section.items():
        if "value" in content:
            yield prefix + name, content
        else:
            yield from entries(content, f"{prefix}{name}.")


def _describe(tiles: NDArray[np.float32], metrics: Sequence[Metric]) -> Described:
    return {describe: describe(tiles) for describe in {metric.describe: None for metric in metrics}}


def _value(
    metric: Metric,
    fake: Described,
    fake_weights: NDArray[np.float64],
    real: Described,
    real_weights: NDArray[np.float64],
) -> float:
    summaries = (
        metric.summarise(described[metric.describe], weights)
        for described, weights in ((fake, fake_weights), (real, real_weights))
    )
    return metric.compare(*summaries)


def _put(section: dict[str, Any], key: str, content: dict[str, Any]) -> None:
    *groups, name = key.split(".")
    for group in groups:
        section = section.setdefault(group, {})
    section[name] = {part: content[part] for part in ("value", "interval", *CONTROLS)}


def _check(fake: NDArray[np.float32], controls: Controls) -> None:
    if not np.isfinite(fake).all():
        raise ValueError("generated tiles hold NaN or infinity; the bundle is of a training that diverged: train again")
    for name in ("real_a", "real_b", "between_fields", "collapsed"):
        tiles = getattr(controls, name)
        if tiles.shape != fake.shape:
            raise ValueError(f"generated tiles have shape {fake.shape}, {name} has {tiles.shape}; they must be equal")
