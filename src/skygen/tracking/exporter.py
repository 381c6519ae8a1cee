"""The exporter: what the store says of trainings, champions and the pipeline, for Prometheus to scrape.

A thread reads the store every so often, and a scrape tells what was read last: it waits for no store. While the store
is away that stays, and `skygen_store_up` says so.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from skygen.children import sigterm_as_exit
from skygen.tracking.overview import TROUBLES, Overview, read_overview

DIGITS: Final = 12  # of a hash in a label, as the service has them
PATIENCE_S: Final = 60.0  # for a store that takes a connection and does not answer
_OF_TRAINING = ("tiles", "recipe", "seed")
FAMILIES: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "skygen_store_up": ("Whether the MLflow store was read when it was last tried.", ()),
    "skygen_store_read_time_seconds": ("When the store was last read, in seconds since 1970.", ()),
    "skygen_registry_champion_info": (
        "The champion of a tile set in the registry, always 1: the first digits of its bundle's hash.",
        ("tiles", "recipe", "version", "registry_version"),
    ),
    "skygen_training_status": (
        "How the latest training stands, always 1: RUNNING, FINISHED, FAILED or KILLED.",
        (*_OF_TRAINING, "status"),
    ),
    "skygen_training_trouble": (
        "Whether it had collapsed, diverged or lost its numbers when it last measured.",
        (*_OF_TRAINING, "trouble"),
    ),
    "skygen_training_start_time_seconds": ("When it began, in seconds since 1970.", _OF_TRAINING),
    "skygen_training_end_time_seconds": ("When it ended, if it has.", _OF_TRAINING),
    "skygen_training_report_time_seconds": ("When it last reported anything.", _OF_TRAINING),
    "skygen_training_images": ("Images that it has seen.", _OF_TRAINING),
    "skygen_pipeline_end_time_seconds": ("When the pipeline last ran to its end, where that was noted.", ()),
}
Sample = tuple[tuple[str, ...], float]  # labels and value
_logger = logging.getLogger(__name__)


class Exporter(Collector):
    """What was last read of the store at an address."""

    def __init__(self, uri: str, every_s: float) -> None:
        self._uri, self._every_s = uri, every_s
        self._overview, self._read_at, self._failing = Overview(), 0.0, True

    def read_for_ever(self) -> None:
        """Read the store every so often; what goes wrong is said once and tried again."""
        said = ""
        while True:
            try:
                self._overview = read_overview(self._uri)
                self._read_at, self._failing, said = time.time(), False, ""
            except Exception as error:  # whatever a store or the way to it comes up with
                self._failing, former, said = True, said, str(error).partition("\n")[0]
                if said != former:
                    _logger.warning("%s cannot be read: %s", without_password(self._uri), said)
            time.sleep(self._every_s)

    def collect(self) -> Iterable[Metric]:
        """All families, for a scrape."""
        samples = dict(self._samples())
        for name, (text, labels) in FAMILIES.items():
            family = GaugeMetricFamily(name, text, labels=labels)
            for values, value in samples.get(name, ()):
                family.add_metric(values, value)
            yield family

    def _samples(self) -> Iterator[tuple[str, list[Sample]]]:
        """By family."""
        read_at, overview = self._read_at, self._overview
        is_late = time.time() - read_at > self._every_s + PATIENCE_S
        yield "skygen_store_up", [((), float(not (self._failing or is_late)))]
        if read_at:
            yield "skygen_store_read_time_seconds", [((), read_at)]
        yield (
            "skygen_registry_champion_info",
            [((one.tiles, one.recipe, one.sha256[:DIGITS], one.version), 1.0) for one in overview.champions],
        )
        if overview.finished is not None:
            yield "skygen_pipeline_end_time_seconds", [((), overview.finished)]
        yield from _of_trainings(overview)


def _of_trainings(overview: Overview) -> Iterator[tuple[str, list[Sample]]]:
    keyed = [((one.tiles, one.recipe, one.seed), one) for one in overview.trainings]
    yield "skygen_training_status", [((*key, one.status), 1.0) for key, one in keyed]
    yield (
        "skygen_training_trouble",
        [((*key, trouble), float(trouble in one.troubles)) for key, one in keyed for trouble in TROUBLES],
    )
    yield "skygen_training_start_time_seconds", [(key, one.began) for key, one in keyed]
    yield "skygen_training_end_time_seconds", [(key, one.ended) for key, one in keyed if one.ended is not None]
    yield "skygen_training_report_time_seconds", [(key, one.reported) for key, one in keyed]
    yield "skygen_training_images", [(key, float(one.images)) for key, one in keyed]


def serve(uri: str, host: str, port: int, every_s: float, say: Callable[[str], object]) -> None:
    """Tell of the store at `uri` at http://HOST:PORT/metrics until SIGTERM or an interrupt; port 0 is any free one.

    Raises `OSError` where it cannot listen there.
    """
    # A connection for each read: one that is kept would go on with a file that was replaced, as a restored one is.
    os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    logging.getLogger("mlflow").setLevel(logging.CRITICAL)  # it has a traceback for every reading that fails
    exporter, registry = Exporter(uri, every_s), CollectorRegistry()
    registry.register(exporter)
    try:
        server, serving = start_http_server(port, host, registry)
    except OSError as error:
        raise OSError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
    threading.Thread(target=exporter.read_for_ever, name="exporter", daemon=True).start()
    say(f"{without_password(uri)} is told of at http://{host}:{server.server_port}/metrics")
    with sigterm_as_exit():
        serving.join()


def without_password(uri: str) -> str:
    """An address as it may be shown."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri
