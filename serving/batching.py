"""Requests in flight share passes: threads take some tiles of one bundle at a time, whoever asked for them.

A tile's bits do not depend on what is drawn beside it, so sharing changes when an answer comes, never what it holds.
Passes go by turns to who came first and to who has least left: a large request comes to its end, and a small one does
not wait for it. So few are begun at a time, and a full queue holds little memory.
"""

import asyncio
import heapq
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from serving.monitoring import quality
from serving.monitoring.health import Health
from serving.monitoring.metrics import INFERENCE_SECONDS, PASS_TILES, QUEUE_SECONDS, QUEUED_TILES
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile

T = TypeVar("T")
Flux = NDArray[np.float32]
_FORGETTING = 0.1  # weight of the last pass in the mean time a tile


class QueueFullError(Exception):
    """More tiles are wanted than may wait; `retry_after` is when the queue should be empty, in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"more tiles are asked for than may wait; try again in {retry_after} s")
        self.retry_after = retry_after


@dataclass(eq=False)
class _Job:
    """The tiles of one request: those from `next` on nobody has taken yet, and `missing` are not drawn.

    Or its pieces of other work, each of which counts as `weight` tiles, goes by itself, and leaves one of `found`.
    """

    bundle: Bundle
    tiles: Sequence[Any]
    finish: Callable[[Any], Any]
    missing: int
    flux: Flux | None = None
    found: list[Any] | None = None
    weight: int = 1
    next: int = 0
    answer: "Future[Any]" = field(default_factory=Future)
    since: float = field(default_factory=time.perf_counter)


def _left(job: _Job) -> int:
    """How many of a job's tiles nobody has taken yet."""
    return (len(job.tiles) - job.next) * job.weight


class Batcher:
    """Draws tiles for requests on `threads` threads; at most `most_tiles` may be wanted at a time.

    `health` is told how every pass ends.
    """

    def __init__(self, threads: int, most_tiles: int, health: Health | None = None) -> None:
        self._health = health or Health()
        self._most_tiles, self.wanted, self._idle, self._closed = most_tiles, 0, 0, False
        self._oldest_next = False
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._seconds_a_tile = 0.01
        self._threads = [threading.Thread(target=self._work, name=f"draw-{i}", daemon=True) for i in range(threads)]
        for thread in self._threads:
            thread.start()

    async def draw(self, bundle: Bundle, tiles: Sequence[Tile], finish: Callable[[Flux], T]) -> T:
        """`finish` of the flux [n, bands, H, W] of `tiles`, both computed on a thread of ours.

        Cancelling it withdraws what has not begun. Raises `QueueFullError` where too much is wanted already; a request
        that meets an empty queue is never too large.
        """
        return cast(T, await self._answer(_Job(bundle, tiles, finish, missing=len(tiles))))

    async def run(
        self, bundle: Bundle, pieces: Sequence[Callable[[], Any]], weight: int, finish: Callable[[list[Any]], T]
    ) -> T:
        """`finish` of what `pieces` of work for a bundle give, in their order, each worth `weight` tiles of its time.

        As `draw`; pieces are begun one after the other, on whichever thread is free.
        """
        job = _Job(bundle, pieces, finish, missing=len(pieces), found=[None] * len(pieces), weight=weight)
        return cast(T, await self._answer(job))

    async def _answer(self, job: _Job) -> Any:
        tiles = _left(job)
        with self._changed:
            if self.wanted and self.wanted + tiles > self._most_tiles:
                raise QueueFullError(max(1, math.ceil(self.wanted * self._seconds_a_tile)))
            self._count(tiles)
            self._jobs.append(job)
            self._changed.notify(min(len(job.tiles), len(self._threads)))
        try:
            return await asyncio.wrap_future(job.answer)
        except asyncio.CancelledError:
            self._withdraw(job)
            raise

    def close(self) -> None:
        """End the threads once they have drawn what is wanted."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _count(self, tiles: int) -> None:
        self.wanted += tiles
        QUEUED_TILES.inc(tiles)

    def _withdraw(self, job: _Job) -> None:
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)
                self._count(-_left(job))

    def _work(self) -> None:
        while parts := self._take():
            if parts[0][0].found is not None:
                self._work_at(parts[0][0], parts[0][1].start)
                continue
            wanted = [tile for job, rows in parts for tile in job.tiles[rows]]
            bundle, started = parts[0][0].bundle, time.perf_counter()
            try:
                flux = bundle.draw(wanted)
                bad = quality.record(flux, bundle, wanted)
            except Exception as error:
                self._health.failed(bundle, "request")
                self._done(bundle, len(wanted), None)
                self._fail([job for job, _ in parts], error)
                continue
            self._health.passed()
            self._done(bundle, len(wanted), time.perf_counter() - started)
            first = 0
            for job, rows in parts:
                last = first + rows.stop - rows.start
                if any(first <= row < last for row in bad):
                    self._fail([job], ValueError(f"tiles of {bundle.sha256} hold pixels that are no numbers"))
                else:
                    try:
                        self._deliver(job, rows, flux[first:last])
                    except Exception as error:  # no memory for it, say: the thread goes on
                        self._fail([job], error)
                first = last

    def _work_at(self, job: _Job, place: int) -> None:
        """Do one piece of a job, and finish it where it was the last."""
        started = time.perf_counter()
        try:
            found = job.tiles[place]()
        except Exception as error:
            self._health.failed(job.bundle, "request")
            self._count_done(job.weight, None)
            self._fail([job], error)
            return
        self._health.passed()
        self._count_done(job.weight, time.perf_counter() - started)
        with self._changed:
            if job.found is None or job.answer.done():
                return
            job.found[place] = found
            job.missing -= 1
            whole = job.found if job.missing == 0 else None
        if whole is not None:
            self._finish(job, whole)

    def _take(self) -> list[tuple[_Job, slice]]:
        """The next pass: of each job that has a part in it, which of its tiles. Empty when there is no more to do."""
        with self._changed:
            self._idle += 1
            while not self._jobs and not self._closed:
                self._changed.wait()
            idle, self._idle = self._idle, self._idle - 1
            if not self._jobs:
                return []
            self._oldest_next = not self._oldest_next
            head = self._jobs[0] if self._oldest_next else min(self._jobs, key=_left)
            if head.found is not None:
                return [self._take_of(head, 1)]
            sharing = [job for job in self._jobs if job.bundle is head.bundle and job.found is None]
            # Shared among idle threads alone: a busy one is soon back for its part.
            room = min(head.bundle.tiles_a_pass, math.ceil(sum(map(_left, sharing)) / idle))
            parts = [self._take_of(head, room)]
            for job in heapq.nsmallest(room, sharing, key=_left):
                rest = room - sum(rows.stop - rows.start for _, rows in parts)
                if 0 < _left(job) <= rest:  # one that is begun and waits holds memory for all of its tiles
                    parts.append(self._take_of(job, rest))
            return parts

    def _take_of(self, job: _Job, room: int) -> tuple[_Job, slice]:
        if job.next == 0:
            QUEUE_SECONDS.labels(job.bundle.card.tiles).observe(time.perf_counter() - job.since)
        rows = slice(job.next, min(job.next + room, len(job.tiles)))
        job.next = rows.stop
        if not _left(job):
            self._jobs.remove(job)
        return job, rows

    def _done(self, bundle: Bundle, tiles: int, seconds: float | None) -> None:
        """Count a pass that took `seconds`; None where it failed."""
        self._count_done(tiles, seconds)
        if seconds is not None:
            INFERENCE_SECONDS.labels(bundle.card.tiles, bundle.card.recipe).observe(seconds)
            PASS_TILES.labels(bundle.card.tiles).observe(tiles)

    def _count_done(self, tiles: int, seconds: float | None) -> None:
        with self._changed:
            self._count(-tiles)
            if seconds is not None:
                pace = seconds / tiles / len(self._threads)
                self._seconds_a_tile += _FORGETTING * (pace - self._seconds_a_tile)

    def _deliver(self, job: _Job, rows: slice, flux: Flux) -> None:
        """Put a part of a job in its place; the thread that brings the last one finishes it."""
        if job.answer.cancelled():
            return
        with self._changed:
            if len(flux) == len(job.tiles):
                job.flux = flux
            elif job.flux is None:
                job.flux = np.empty((len(job.tiles), *flux.shape[1:]), dtype=np.float32)
            whole = job.flux
        if whole is not flux:
            whole[rows] = flux
        with self._changed:
            job.missing -= len(flux)
            complete = job.missing == 0
        if complete:
            self._finish(job, whole)

    def _finish(self, job: _Job, whole: Any) -> None:
        if job.answer.set_running_or_notify_cancel():
            try:
                job.answer.set_result(job.finish(whole))
            except Exception as error:
                job.answer.set_exception(error)

    def _fail(self, jobs: Sequence[_Job], error: Exception) -> None:
        for job in jobs:
            self._withdraw(job)
            with self._changed:
                if not job.answer.done() and job.answer.set_running_or_notify_cancel():
                    job.answer.set_exception(error)
