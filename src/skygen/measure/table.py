"""THE table of metrics: every module of this package that has a METRIC. Whatever measures or reports reads it here."""

from importlib import import_module
from pkgutil import iter_modules

from skygen import measure
from skygen.measure.metric import GROUPS, Given, Meaning, Measure, Metric


def _found() -> list[Metric]:
    names = sorted(module.name for module in iter_modules(measure.__path__))
    modules = [import_module(f"{measure.__name__}.{name}") for name in names if not __name__.endswith(f".{name}")]
    metrics: list[Metric] = [module.METRIC for module in modules if hasattr(module, "METRIC")]
    return sorted(metrics, key=lambda metric: GROUPS.index(metric.group))


METRICS = _found()
MEANINGS: dict[str, Meaning] = {key: meaning for metric in METRICS for key, meaning in metric.meanings.items()}
"""By key in metrics.json, where a dot nests, in the order of reports."""


def measures_of(given: Given) -> list[Measure]:
    """All that can be measured of what is given."""
    return [measure for metric in METRICS for measure in metric.measures(given)]
