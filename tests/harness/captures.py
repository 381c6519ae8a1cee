"""What a CUDA graph cannot hold, refused on a CPU."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten


class Captures(TorchDispatchMode):
    """Refuses what a CUDA graph cannot hold: to read a number, to make a shape of values, to copy between devices."""

    refused = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "_to_copy", "equal", "is_nonzero")

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        tensors = [part for part in tree_flatten((arguments, named))[0] if isinstance(part, torch.Tensor)]
        name = operation.name().split("::")[1].split(".")[0]
        refused = name in self.refused and not (name == "_to_copy" and (named or {}).get("device") is None)
        if refused or (name == "index" and any(part.dtype == torch.bool for part in tensors[1:])):
            raise RuntimeError(f"{operation} of {[tuple(part.shape) for part in tensors]} cannot be captured")
        return operation(*arguments, **(named or {}))
