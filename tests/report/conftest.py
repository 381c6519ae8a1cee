"""The store that tests of evaluation write."""

from tests.evaluation.conftest import write_store

__all__ = ["write_store"]
