"""The processes that train together, each with its share of every batch: those that `torchrun` starts, or one alone.

Gradients are averaged here and not by torch's DistributedDataParallel. That rebuilds its buckets after the first
backward pass, so that a process sums in another order once it has run a while: three processes that were killed and
resumed did not end with the weights of three left in peace. In a fixed order they do, bit for bit.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.utils import parameters_to_vector, vector_to_parameters

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Team:
    """One process among `size`. What they do together, each of them must call, or the others wait for it."""

    rank: int
    size: int

    @property
    def writes(self) -> bool:
        """Whether this process is the one that measures, logs and writes files."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """The part of a batch that is for this process; raises `ValueError` where it cannot be shared out evenly."""
        if batch % self.size:
            raise ValueError(
                f"a batch of {batch} over {self.size} processes: means over unequal shares do not add up to the "
                "batch's; start a number of processes that divides it"
            )
        part = batch // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def synchronised(self, network: Network) -> Network:
        """`network` with batch norm over the whole batch, as one process alone computes it.

        Raises `ValueError` where there is batch norm on a CPU: torch synchronises it on GPUs alone.
        """
        normed = any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        if self.size == 1 or not normed:
            return network
        if next(network.parameters()).device.type == "cpu":
            raise ValueError(
                f"batch norm over {self.size} processes needs GPUs; start one process, or take a recipe whose norm "
                "is none"
            )
        shared: Network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return shared

    def average_gradients(self, network: nn.Module) -> None:
        """Make the gradients of `network` the means of all processes': those of the whole batch, to rounding."""
        if self.size == 1:
            return
        gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
        vector_to_parameters(self.mean(parameters_to_vector(gradients)), gradients)

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean of all processes' `values`; not finite where one's is not."""
        if self.size == 1:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total / self.size

    def gather(self, values: torch.Tensor, most: int) -> torch.Tensor:
        """All processes' `values`, `most` of each at most, for a loss of them all that each of them computes.

        Its own carry gradient: `size` times theirs, so that the mean over the processes is the loss's own.
        """
        if self.size == 1:
            return values
        sent = values.new_zeros(self.size, 1 + most)
        sent[self.rank, 0], sent[self.rank, 1 : 1 + len(values)] = len(values), values.detach()
        distributed.all_reduce(sent)
        own = values.detach() + self.size * (values - values.detach())
        parts = [row[1 : 1 + int(row[0])] for row in sent]
        return torch.cat([*parts[: self.rank], own, *parts[self.rank + 1 :]])

    def weights(self, *counts: int) -> list[float]:
        """What means over so many of this process's weigh in those over all processes': 1 where shares are equal."""
        if self.size == 1:
            return [1.0] * len(counts)
        means = self.mean(torch.tensor(counts, dtype=torch.float32))
        return [count / max(float(mean), 1 / self.size) for count, mean in zip(counts, means, strict=True)]

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.size == 1:
            return flag
        flags = torch.tensor([flag], dtype=torch.int32)
        distributed.all_reduce(flags, distributed.ReduceOp.MAX)
        return bool(flags)

    def barrier(self) -> None:
        """Wait until every process is here."""
        self.any(False)


ALONE = Team(rank=0, size=1)


@contextmanager
def join_team(device: torch.device) -> Iterator[Team]:
    """The team that `torchrun` started this process for, on one machine, left at the end; `ALONE` where it did not.

    Each process takes the GPU of its own number: from then on `cuda` means that one. CPU tensors travel through Gloo,
    GPU tensors through NCCL. Where each listens it says in torchrun's store, which outlives a restart, and so does what
    the killed processes said: one that is early would call an address where nobody is. So each life has its own names.
    """
    if not distributed.is_torchelastic_launched():
        yield ALONE
        return
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, rank, size = next(rendezvous("env://"))
    life = PrefixStore(f"life {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    distributed.init_process_group(backend, store=life, rank=rank, world_size=size)
    try:
        yield Team(rank, size)
    finally:
        distributed.destroy_process_group()
