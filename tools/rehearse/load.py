"""Clients that ask all the time, and count what they hear.

HTTP lets a server close a connection that asks nothing at the moment (RFC 9112, 9.3.1), and nginx does so when it is
reloaded. A client that just then asks hears nothing, and asks again on a new connection, as browsers and skygen.client
do. Here it may do so once a call, and how often is told.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

import httpx

CLIENTS = 3
_PAUSE_SECONDS = 0.05  # of each between two calls: the cores are for others too


@dataclass
class Heard:
    """Answers by the bundle that they say they come from, and calls that failed, by how."""

    answers: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    again: int = 0  # calls whose connection had been closed

    @property
    def calls(self) -> int:
        """How many calls were made."""
        return self.answers.total() + self.failed.total()


@contextmanager
def load(url: str, tiles: str) -> Iterator[Heard]:
    """Clients that meanwhile ask for tiles of the champion of a set, each another one."""
    heard, over = Heard(), Event()
    clients = [Thread(target=_ask, args=(url, tiles, number, heard, over)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield heard
    finally:
        over.set()
        for client in clients:
            client.join()


def _ask(url: str, tiles: str, number: int, heard: Heard, over: Event) -> None:
    seed = number
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        while not over.is_set():
            path = f"/v1/tile/{tiles}/{seed}.npy"
            try:
                answer = _answer(client, path, heard)
                if answer.is_success:
                    heard.answers[answer.headers["X-Skygen-Model"]] += 1
                else:
                    heard.failed[f"status {answer.status_code}"] += 1
            except httpx.TransportError as error:
                heard.failed[type(error).__name__] += 1
            seed += CLIENTS
            time.sleep(_PAUSE_SECONDS)


def _answer(client: httpx.Client, path: str, heard: Heard) -> httpx.Response:
    try:
        return client.get(path)
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
        heard.again += 1
        return client.get(path, headers={"Connection": "close"})
