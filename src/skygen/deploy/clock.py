"""How long something may take to come about."""

import time


class Deadline:
    """A moment so many seconds from now, by which something must have come about."""

    def __init__(self, seconds: float) -> None:
        self._moment = time.monotonic() + seconds

    def waits(self, pause: float = 0.2) -> bool:
        """Whether there is time left; after a pause, where there is."""
        if time.monotonic() >= self._moment:
            return False
        time.sleep(pause)
        return True
