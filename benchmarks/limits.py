"""What this machine can do at most, and how the benchmarks time: medians of a few runs, limits measured beside them."""

import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode


def seconds(work: Callable[[], object], runs: int = 7) -> float:
    """The median wall time of `work` over `runs` runs, after one that is not counted."""
    work()
    measured = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        measured.append(time.perf_counter() - started)
    return statistics.median(measured)


def flop(work: Callable[[], object]) -> int:
    """The floating point operations of the matrix products and convolutions in `work`, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


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
