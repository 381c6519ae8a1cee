"""Metrics as metrics.json and comparison.json have them, with what is known of them beforehand."""

from collections.abc import Mapping
from typing import Any

from skygen.measure.table import MEANINGS

UNCONTROLLED = "discriminator_accuracy"
WITHOUT_EXCESS = ("accuracy", "precision", "recall", "density", "coverage", "diversity", "memorised")
COLOURS = ("sources.g_r", "sources.r_i")


def row(mean: float, reach: float = 0.1, **changes: Any) -> dict[str, Any]:
    """A metric of comparison.json that is worse than real-real and, unless `changes` say otherwise, has an excess."""
    controls = {"real_real": 0.1, "between_fields": 0.2, "matched": 0.15, "collapsed": 0.7}
    excess = {"exceeds": True, "excess": 2.5, "excess_interval": [1.5, 3.5]}
    return {"mean": mean, "spread": None, "interval": [mean - reach, mean + reach], **controls, **excess, **changes}


def rows(mean: float, bands: str = "gri") -> dict[str, dict[str, Any]]:
    """A section of comparison.json: every metric that these bands have, each with what it has."""
    found = {key: row(mean, mean / 10) for key in MEANINGS if len(bands) > 1 or key not in COLOURS}
    for key in WITHOUT_EXCESS:
        found[key] |= {"excess": None, "excess_interval": None}
    found[UNCONTROLLED] = {key: found[UNCONTROLLED][key] for key in ("mean", "spread", "interval")}
    return found


def section(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A section of metrics.json, whose groups are nested, from one of comparison.json."""
    nested: dict[str, Any] = {}
    for key, metric in rows.items():
        *groups, name = key.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = {
            "value": metric["mean"],
            **{part: metric[part] for part in metric if part not in ("mean", "spread")},
        }
    return nested
