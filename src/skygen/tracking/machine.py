"""What the machine does while it trains: processors, memory and GPUs, under the names of MLflow's system metrics."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor

from skygen.tracking.record import now_ms

INTERVAL_S = 10.0


class Machine:
    """A thread that samples the machine every 10 s and at the end; a sample's step is the second of the run.

    MLflow's own sampler asks the server before each sample; its monitors are used without it.
    """

    def __init__(self, began_ms: int, report: Callable[[dict[str, float], int], None]) -> None:
        self._began_ms, self._report = began_ms, report
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="machine", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take the last sample."""
        self._stopped.set()
        self._thread.join(INTERVAL_S)  # a driver may hang for ever

    def _work(self) -> None:
        monitors = _monitors()
        while not self._stopped.wait(INTERVAL_S):
            self._sample(monitors)
        self._sample(monitors)

    def _sample(self, monitors: list[Any]) -> None:
        values: dict[str, float] = {}
        for monitor in monitors:
            monitor.collect_metrics()
            values |= {f"system/{key}": value for key, value in monitor.aggregate_metrics().items()}
            monitor.clear_metrics()
        self._report(values, round((now_ms() - self._began_ms) / 1000))


def _monitors() -> list[Any]:
    """MLflow's monitors (it has no types), past their first sample: a processor's use counts from the one before."""
    monitors: list[Any] = []
    for monitor in (CPUMonitor, GPUMonitor):
        with suppress(Exception):  # no NVIDIA GPU, no driver for it, or one that fails in its own ways
            monitors.append(monitor())
    for monitor in monitors:
        monitor.collect_metrics()
        monitor.clear_metrics()
    return monitors
