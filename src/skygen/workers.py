"""Work on many items, by processes of this machine or by workers of a Dask scheduler: the same results either way."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import Any, Generic, Protocol, TypeVar

from tqdm import tqdm

from skygen.cores import cores

WAITING_A_WORKER = 4  # items handed out and not yet collected, so that memory does not grow with their number
SCHEDULER_TIMEOUT_S = 10
LOST_S = 60  # without a result and without a worker: the workers are not coming back

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


class WorkersError(ValueError):
    """The work cannot be handed out, or a worker was lost; the message says why and what to do."""


class _Pending(Protocol[ResultT_co]):
    def result(self) -> ResultT_co: ...
    def cancel(self) -> object: ...


def processes() -> int:
    """How many processes of this machine work at once: `SKYGEN_PROCESSES`, or as many as there are `cores` for us.

    Raises `WorkersError` where the variable is no positive whole number.
    """
    wanted = os.environ.get("SKYGEN_PROCESSES")
    if not wanted:
        return cores()
    if not wanted.isascii() or not wanted.isdigit() or int(wanted) < 1:
        raise WorkersError(f"SKYGEN_PROCESSES is {wanted!r}; it must be a whole number, 1 or more, or not set")
    return int(wanted)


def work_on(
    items: Sequence[ItemT], work: Callable[[ItemT], ResultT], scheduler: str | None, label: str, unit: str
) -> Iterator[ResultT]:
    """The result of `work` on each of `items`, in their order, with a progress bar.

    `work` is a function of a module, or a `partial` of one, without side effects but files that it writes whole: an
    item may be worked on twice where a worker is lost. With `scheduler`, an address such as `tcp://host:8786`, its
    workers do the work, which need this package and the same folders; without, processes of this machine. What `work`
    raises is raised here. Raises `WorkersError` where no scheduler or none of its workers answers, or where the work
    killed them.
    """
    results = _on_this_machine(items, work) if scheduler is None else _by_scheduler(items, work, scheduler)
    with tqdm(total=len(items), desc=label, unit=unit) as bar:
        for result in results:
            bar.update()
            yield result


def _on_this_machine(items: Sequence[ItemT], work: Callable[[ItemT], ResultT]) -> Iterator[ResultT]:
    count = min(processes(), len(items))
    if count <= 1:  # another process would only cost time
        yield from map(work, items)
        return
    # Spawned, not forked: the same on every system, and safe beside threads.
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_end_with_parent)
    try:
        yield from _in_order(items, lambda item: pool.submit(work, item), lambda: WAITING_A_WORKER * count)
    except BrokenProcessPool as error:
        raise WorkersError(
            "a worker process was killed, most often for want of memory; run again, with SKYGEN_PROCESSES "
            f"under {count} where that may be it"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _by_scheduler(items: Sequence[ItemT], work: Callable[[ItemT], ResultT], scheduler: str) -> Iterator[ResultT]:
    from distributed import Client, KilledWorker
    from distributed.client import FutureCancelledError

    try:
        client = Client(scheduler, timeout=SCHEDULER_TIMEOUT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise WorkersError(
            f"no Dask scheduler answers at {scheduler} ({error}); start one there with `dask scheduler`, or set "
            "scheduler to null"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=SCHEDULER_TIMEOUT_S)
        except TimeoutError as error:
            raise WorkersError(
                f"the Dask scheduler at {scheduler} has no workers; start some with "
                f"`dask worker --nthreads 1 {scheduler}`"
            ) from error

        def threads() -> int:
            return sum(client.nthreads().values())  # type: ignore[no-untyped-call]

        def submit(item: ItemT) -> _Pending[ResultT]:
            # Not pure: a result that the scheduler remembers from an earlier run would not have written its file.
            return _OfScheduler(client.submit(work, item, pure=False), scheduler, threads)

        try:
            yield from _in_order(items, submit, lambda: WAITING_A_WORKER * max(1, threads()))
        except (KilledWorker, FutureCancelledError) as error:
            raise WorkersError(
                f"the workers of {scheduler} were lost ({error}); see their logs, then run again"
            ) from error


class _OfScheduler(Generic[ResultT]):
    """A result that a scheduler's workers owe."""

    def __init__(self, future: Any, scheduler: str, threads: Callable[[], int]) -> None:
        self._future, self._scheduler, self._threads = future, scheduler, threads

    def result(self) -> ResultT:
        """The result; raises `WorkersError` where all workers are gone and stay away."""
        while True:
            try:
                result: ResultT = self._future.result(timeout=LOST_S)
            except TimeoutError:
                if self._future.done():  # the work itself timed out
                    raise
                if not self._threads():
                    raise WorkersError(
                        f"the scheduler at {self._scheduler} has lost all its workers; start new ones, then run again"
                    ) from None
            else:
                return result

    def cancel(self) -> object:
        """Give the work up where it has not begun."""
        return self._future.cancel()


def _in_order(
    items: Sequence[ItemT], submit: Callable[[ItemT], _Pending[ResultT]], waiting_at_most: Callable[[], int]
) -> Iterator[ResultT]:
    waiting: deque[_Pending[ResultT]] = deque()
    try:
        for item in items:
            if len(waiting) >= waiting_at_most():  # asked each time: workers come and go
                yield waiting.popleft().result()
            waiting.append(submit(item))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for pending in waiting:
            pending.cancel()


def _end_with_parent() -> None:
    """Let this process end when the one that started it does, even by kill -9: it would else wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_wait_and_end, args=(parent.sentinel,), daemon=True).start()


def _wait_and_end(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
