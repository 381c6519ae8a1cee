"""What this machine can do at most, and how the benchmarks time: medians of a few runs, limits measured beside them."""

import platform
import statistics
import time
from collections.abc import Callable
from typing import Self

import torch
from torch.utils.flop_counter import FlopCounterMode
from torch.utils.module_tracker import ModuleTracker


def seconds(work: Callable[[], object], runs: int = 7) -> float:
    """The median wall time of `work` over `runs` runs, after one that is not counted."""
    return side_by_side(work, runs=runs)[0]


def cpu_seconds(work: Callable[[], object], runs: int = 3) -> float:
    """The least CPU time of `work` over `runs` runs, after one that is not counted; of all threads of this process."""
    work()
    measured = []
    for _ in range(runs):
        started = time.process_time()
        work()
        measured.append(time.process_time() - started)
    return min(measured)


def side_by_side(*works: Callable[[], object], runs: int = 7) -> list[float]:
    """The median wall time of each of `works`, which run in turn: what disturbs the machine meets them all."""
    measured: list[list[float]] = [[] for _ in works]
    for work in works:
        work()  # not counted: the first run fills caches
    for _ in range(runs):
        for work, times in zip(works, measured, strict=True):
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
    return [statistics.median(times) for times in measured]


def flop(work: Callable[[], object]) -> int:
    """The floating point operations of the matrix products and convolutions in `work`, forward and backward."""
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = _NoModules()  # torch's own fails at gradients by a network's input
    with counter:
        work()
    return int(counter.get_total_flops())


class _NoModules(ModuleTracker):
    """Counts for no module in particular."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def matmul_flop_per_second(size: int = 2048) -> float:
    """What a float32 matrix product reaches: the limit for networks made of convolutions."""
    left, right = torch.randn(size, size), torch.randn(size, size)
    return 2 * size**3 / seconds(lambda: left @ right)


def print_machine() -> None:
    """Name the hardware, without which no figure means anything."""
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(
        f"{torch.backends.cpu.get_cpu_capability()}, {matmul_flop_per_second() / 1e9:.0f} GFLOP/s in a matrix product\n"
    )


if __name__ == "__main__":
    print_machine()
