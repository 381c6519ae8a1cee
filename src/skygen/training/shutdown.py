"""SIGTERM and SIGINT ask a training to end; it does so between two iterations, with its state saved."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_ASKING = (signal.SIGTERM, signal.SIGINT)


@dataclass
class Request:
    """What was asked of the process: nothing, or to end by a signal."""

    signal: int | None = None

    def obey(self) -> None:
        """End by `KeyboardInterrupt` for SIGINT; for SIGTERM, and with no signal of one's own, by `SystemExit`(143)."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + signal.SIGTERM)


@contextmanager
def requests_to_end() -> Iterator[Request]:
    """What signals ask for during the block, in which they do nothing else; then the handlers are as they were.

    Only the main thread can ask for signals: in another, the request stays empty.
    """
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, _: FrameType | None) -> None:
        request.signal = number

    former = {number: signal.signal(number, note) for number in _ASKING}
    try:
        yield request
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
