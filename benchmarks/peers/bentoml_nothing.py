"""A BentoML endpoint that does nothing: it answers so many bytes. What the framework costs a call."""

from functools import cache
from typing import Annotated

import bentoml
from bentoml.validators import ContentType


@cache
def _bytes(size: int) -> bytes:
    return bytes(size)


@bentoml.service
class Nothing:
    """Constants."""

    @bentoml.api(route="/generate")  # type: ignore[untyped-decorator]
    async def generate(self, size: int, seed: int = 0) -> Annotated[bytes, ContentType("application/x-npy")]:  # noqa: ARG002
        """So many zeros."""
        return _bytes(size)
