"""Tests that wait for something that another process does."""

import time
from collections.abc import Callable


def until(holds: Callable[[], bool], seconds: float = 180) -> None:
    """Wait until something holds, at most so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
