"""A pretended device: it computes on the CPU, and refuses as a GPU does to mix its tensors with the CPU's.

Its tensors say that they are on `meta`, which torch knows without any hardware. An operation that has tensors of both
(but for numbers, and places to index at) raises; so does numpy.
"""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

ELSEWHERE = torch.device("meta")
_aten = torch.ops.aten
_INDEXING = (_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default, _aten._index_put_impl_.default)


class Far(torch.Tensor):
    """A tensor on the pretended device; `near` is what it computes with."""

    @staticmethod
    def __new__(cls, near):
        return torch.Tensor._make_wrapper_subclass(
            cls, near.shape, strides=near.stride(), storage_offset=near.storage_offset(), dtype=near.dtype,
            device=ELSEWHERE, requires_grad=near.requires_grad,
        )  # fmt: skip

    def __init__(self, near):
        self.near = near

    def __repr__(self):
        return f"Far({self.near})"

    def tolist(self):
        return self.near.tolist()

    def new_tensor(self, values):
        return Far(self.near.new_tensor(values))

    def __getitem__(self, places):
        places = places if isinstance(places, tuple) else (places,)
        return super().__getitem__(tuple(Far(torch.tensor(of)) if isinstance(of, list) else of for of in places))

    @classmethod
    def __torch_dispatch__(cls, operation, types, arguments=(), named=None):
        with Elsewhere():
            return operation(*arguments, **(named or {}))


class _Made(TorchFunctionMode):
    """`torch.tensor` puts what it makes on its device where no dispatch mode sees it."""

    def __torch_function__(self, function, types, arguments=(), named=None):
        named = dict(named or {})
        if function is torch.tensor and named.get("device") == ELSEWHERE:
            del named["device"]
            return Far(torch.tensor(*arguments, **named))
        return function(*arguments, **named)


class Elsewhere(TorchDispatchMode):
    """While it lasts the device `ELSEWHERE` can be computed on."""

    def __enter__(self):
        self._made = _Made()
        self._made.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._made.__exit__(*error)

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        named = dict(named or {})
        asked = torch.device(named["device"]) if named.get("device") is not None else None
        tensors = [part for part in tree_flatten((arguments, named))[0] if isinstance(part, torch.Tensor)]
        if any(part.is_meta and not isinstance(part, Far) for part in tensors):
            raise RuntimeError(f"{operation} of a tensor that was made out of sight: it has no numbers")
        far = [part for part in tensors if isinstance(part, Far)]
        moves = operation is _aten._to_copy.default or operation is _aten.copy_.default
        near = [part for part in tensors if not isinstance(part, Far) and part.dim()]
        if far and near and not moves and operation not in _INDEXING:
            raise RuntimeError(f"{operation} of tensors on two devices: {[tuple(part.shape) for part in tensors]}")
        if asked is not None:
            named["device"] = torch.device("cpu")
        unwrapped, names = tree_map_only(Far, lambda part: part.near, (arguments, named))
        result = operation(*unwrapped, **names)
        owners = {id(part.near): part for part in far}
        if asked.type == ELSEWHERE.type if asked is not None else far:
            wrap = lambda part: owners.get(id(part)) if id(part) in owners else Far(part)  # noqa: E731
            return tree_map_only(torch.Tensor, wrap, result)
        return result
