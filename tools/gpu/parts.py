"""Parts of a check, each in a process of its own and with a limit on its time.

What a part breaks (a kernel that reads elsewhere leaves a process without its GPU) or waits for hides no other part.
"""

import multiprocessing
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from tools.gpu.asked import Asked, Found


class Part(NamedTuple):
    """A part: its name, what it does, with which further arguments, and within how many seconds."""

    name: str
    check: Callable[..., Found]
    arguments: tuple[str, ...]
    limit_s: float
    told: bool = False  # of its limit, as a last argument: it ends by itself, and goes on at the next call


def run(part: Part, asked: Asked) -> dict[str, Any]:
    """The row of a part, JSON-able: `failures` is empty where all is as it should be."""
    context, began = multiprocessing.get_context("spawn"), time.monotonic()
    receiver, sender = context.Pipe(duplex=False)
    arguments = (*part.arguments, str(part.limit_s)) if part.told else part.arguments
    process = context.Process(target=_answer, args=(sender, part.check, (asked, *arguments)))
    process.start()
    sender.close()
    if receiver.poll(part.limit_s):
        found = _received(receiver, process)
    else:
        found = Found({}, [f"not done within {part.limit_s:g} s"])
    process.kill()
    process.join()
    seconds = round(time.monotonic() - began, 1)
    answered = {"failures": found.failures, "measured": found.measured, "finished": found.finished}
    return {"part": part.name, "seconds": seconds, **answered}


def _answer(sender: Connection, check: Callable[..., Found], arguments: tuple[Any, ...]) -> None:
    try:
        found = check(*arguments)
    except Exception as error:  # whatever it is, the other parts go on
        traceback.print_exc()
        found = Found({}, [f"{type(error).__name__}: {error}"])
    sender.send(found)


def _received(receiver: Connection, process: Any) -> Found:
    try:
        found: Found = receiver.recv()
    except EOFError:
        process.join()
        return Found({}, [f"its process ended with {process.exitcode}"])
    return found
