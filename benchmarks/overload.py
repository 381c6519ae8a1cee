"""Ten times what the service can serve: only 200 and 429, flat memory, bounded waiting, quick recovery.

`--seconds 60` is how long; `--soak MINUTES` in its place asks for everything the service has, at half of what it can
serve. Ends with 1 where a bound is broken.
"""

import argparse
import asyncio
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np

from benchmarks.limits import print_machine
from tests.harness.load import Answers, get, load, post
from tests.harness.raw import Address
from tests.harness.served import Service, served

TIMES = 10
GROWTH_BYTES = 100e6
RECOVERY_SECONDS = 2.0
SIZES = (1, 8, 32)  # tiles a request
SEEDS = range(10)
ONE = {"tiles": "gri128", "n": 1, "format": "npy", "seed": 3}


def main() -> None:
    """Start a service, load it, print the figures against their bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    arguments = parser.parse_args()
    print_machine()
    with TemporaryDirectory() as folder, served(Path(folder), {}) as service:
        ended_well = soak(service, arguments.soak * 60) if arguments.soak else overload(service, arguments.seconds)
        if service.traces():
            print(f"the service logged {service.traces()} errors of its own")
    sys.exit(not ended_well)


def overload(service: Service, seconds: float) -> bool:
    """Whether every bound held; prints the figures."""
    tiles_per_second, normal = capacity(service.address, wanted()), alone(service)
    rate = TIMES * tiles_per_second / float(np.mean(SIZES))
    print(
        f"it serves {tiles_per_second:.0f} tiles/s, a single one in {normal * 1e3:.0f} ms; {rate:.0f} requests/s follow"
    )
    with watched(service) as memory:
        answers = asyncio.run(load(service.address, wanted(), rate, seconds, seed=1))
        recovery = until_normal(service, normal)
    report(answers, seconds)
    growth = max(memory) - memory[0]
    print(
        f"memory of the worker: {memory[0] / 1e6:.0f} MB, at most {growth / 1e6:.0f} MB more, at the end "
        f"{(memory[-1] - memory[0]) / 1e6:.0f} MB more"
    )
    print(f"a single request takes its normal time again {recovery:.2f} s after the load")
    bounds = {
        "only 200 and 429": set(answers.statuses) <= {200, 429} and not answers.failures,
        "some of both": min(answers.statuses[200], answers.statuses[429]) > 0,
        f"memory grows by at most {GROWTH_BYTES / 1e6:.0f} MB": growth <= GROWTH_BYTES,
        f"recovery within {RECOVERY_SECONDS:.0f} s": recovery <= RECOVERY_SECONDS,
    }
    print(*(f"{'held  ' if held else 'BROKEN'} {bound}" for bound, held in bounds.items()), sep="\n")
    return all(bounds.values())


def soak(service: Service, seconds: float) -> bool:
    """Whether every answer was 200 with the bytes of the first time; prints the figures."""
    everything = palette()
    rate = 0.5 * answers_per_second(service.address, everything)
    print(f"{len(everything)} different requests, {rate:.0f} a second for {seconds / 60:.0f} minutes")
    with watched(service) as memory:
        answers = asyncio.run(load(service.address, everything, rate, seconds, seed=2))
    report(answers, seconds)
    print(f"memory of the worker: {memory[0] / 1e6:.0f} MB, at most {(max(memory) - memory[0]) / 1e6:.0f} MB more")
    expected = set(answers.statuses) == {200} and not answers.failures
    print("held   only 200, with the same bytes each time" if expected else "BROKEN an answer was not expected")
    return expected


def wanted() -> list[bytes]:
    """Requests of every size, of several seeds."""
    return [post("/v1/generate", **ONE | {"n": n, "seed": seed}) for n in SIZES for seed in SEEDS]


def palette() -> list[bytes]:
    """One request of every kind that the service answers with 200."""
    shapes = [
        {"tiles": tiles, "n": n, "format": name}
        for tiles in ("r64", "gri128")
        for n in (1, 5, 16)
        for name in ("png", "npy", "fits", "json")
    ]
    posts = [post("/v1/generate", seed=seed, **shape) for seed, shape in enumerate(shapes)]
    walks = [post("/v1/interpolate", tiles=tiles, seed=1, to=2, steps=5, format="npy") for tiles in ("r64", "gri128")]
    singles = [
        get(f"/v1/tile/{tiles}/{seed}.{name}")
        for tiles in ("r64", "gri128")
        for seed in range(3)
        for name in ("png", "npy", "fits")
    ]
    others = [get("/v1/measure/r64/3"), get("/v1/measure/gri128/3"), get("/v1/models"), get("/docs.json"), get("/")]
    return [*posts, *walks, *singles, *others]


def capacity(address: Address, requests: Sequence[bytes], seconds: float = 5.0) -> float:
    """Tiles a second that the service serves of these requests, 8 at a time."""
    return answers_per_second(address, requests, seconds) * float(np.mean(SIZES))


def answers_per_second(address: Address, requests: Sequence[bytes], seconds: float = 5.0) -> float:
    """Requests a second that the service answers, 8 at a time, one after the other from the list."""

    def ask(client: int) -> None:
        with httpx.Client(base_url=f"http://{address[0]}:{address[1]}", timeout=60) as http:
            place = client
            while time.perf_counter() < end:
                method, path = requests[place % len(requests)].split(b" ")[:2]
                body = requests[place % len(requests)].partition(b"\r\n\r\n")[2]
                headers = {"Content-Type": "application/json"} if body else {}
                http.request(method.decode(), path.decode(), content=body, headers=headers).raise_for_status()
                counted[client] += 1
                place += 8

    counted = [0] * 8
    started = time.perf_counter()
    end = started + seconds
    clients = [threading.Thread(target=ask, args=[client]) for client in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return sum(counted) / (time.perf_counter() - started)


def alone(service: Service, times: int = 20) -> float:
    """The median seconds of one request at a time for one tile."""
    with httpx.Client(base_url=service.url, timeout=60) as client:
        return float(np.median([_ask(client)[1] for _ in range(times)]))


def until_normal(service: Service, normal: float) -> float:
    """Seconds from now until a request for one tile is answered within twice its normal time and 50 ms."""
    started = time.perf_counter()
    with httpx.Client(base_url=service.url, timeout=60) as client:
        while True:
            status, seconds = _ask(client)
            if status == 200 and seconds <= 2 * normal + 0.05:
                return time.perf_counter() - started


def _ask(client: httpx.Client) -> tuple[int, float]:
    started = time.perf_counter()
    return client.post("/v1/generate", json=ONE).status_code, time.perf_counter() - started


@contextmanager
def watched(service: Service) -> Iterator[list[float]]:
    """The memory of the workers in bytes, twice a second while the block runs: first before it, last after it."""
    sizes, done = [float(service.memory_bytes())], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            sizes.append(service.memory_bytes())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield sizes
    finally:
        done.set()
        watching.join()
        sizes.append(service.memory_bytes())


def report(answers: Answers, seconds: float) -> None:
    """Print how often each status came and how long it took."""
    for status, took in sorted(answers.seconds.items()):
        p50, p99 = np.percentile(took, [50, 99])
        print(f"{status}: {len(took):7} answers, {len(took) / seconds:7.1f}/s, p50 {p50:.3f} s, p99 {p99:.3f} s")
    print(f"unanswered when the load ended: {answers.unanswered}; failures: {dict(answers.failures) or 'none'}")


if __name__ == "__main__":
    main()
