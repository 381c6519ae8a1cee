"""With how many digits a GPU multiplies, and that its kernels repeat their bits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

Precision = Literal["exact", "tf32"]


def chosen_precision() -> Precision:
    """What `SKYGEN_PRECISION` says, `exact` where it says nothing; raises `ValueError` for another word."""
    wanted = os.environ.get("SKYGEN_PRECISION") or "exact"
    for precision in get_args(Precision):
        if wanted == precision:
            return precision  # type: ignore[no-any-return]
    raise ValueError(f"SKYGEN_PRECISION is {wanted!r}; it must be one of {', '.join(get_args(Precision))}")


@contextmanager
def repeatable_kernels(precision: Precision = "exact") -> Iterator[None]:
    """While it lasts, cuDNN takes kernels that repeat their bits: on a GPU, too, a resume is to go on as it was.

    `tf32` rounds what is multiplied on a GPU to 10 binary digits of 23, which its tensor cores are made for. A CPU
    computes as ever.
    """
    products, tf32 = torch.backends.cuda.matmul, precision == "tf32"
    before = products.allow_tf32
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=tf32):
        products.allow_tf32 = tf32
        try:
            yield
        finally:
            products.allow_tf32 = before
