"""Broken clients: thousands of malformed requests, of which none may hurt the service. `--requests 2000 --seed 1`.

Half of them go down raw sockets (tests/harness/broken.py, over and over, many at a time), half are made by schemathesis
from the service's own document.
Ends with 1 where anything is wrong.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.harness.broken import CASES, HURRY, good, play_all, scan
from tests.harness.served import Service, served

# Which tile sets and recipes there are, and which of them take noise, no document of types can say: such a request is
# sound by the document, and is refused by name.
LEFT_OUT = "positive_data_acceptance"


def main() -> None:
    """Start a service, break things, print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder, served(Path(folder), HURRY) as service:
        sys.exit(bool(run(service, Path(folder), arguments.requests, arguments.seed)))


def run(service: Service, folder: Path, requests: int, seed: int) -> list[str]:
    """What went wrong, printed too, with the figures."""
    expected = good(service)
    wrong = play_all(service, CASES)  # what every case costs once: caches, buffers, series
    memory, series, workers = service.memory_bytes(), service.series(), service.workers()
    sent = requests // 2
    for start in range(0, sent, len(CASES)):
        wrong += play_all(service, CASES[: sent - start])
        if good(service) != expected:
            wrong.append(f"after {start} raw requests: the same request has another answer")
    print(f"raw sockets: {sent} requests of {len(CASES)} kinds, {len(wrong)} wrong")
    memory_between = service.memory_bytes()
    made, failures = schemathesis(service, folder, requests - sent, seed)
    print(f"schemathesis: {made} requests, {len(failures)} wrong")
    wrong += failures
    if good(service) != expected:
        wrong.append("after all: the same request has another answer")
    if service.workers() != workers:
        wrong.append("a worker was replaced")
    if service.traces():
        wrong.append(f"the service logged {service.traces()} errors of its own")
    sizes = ", ".join(f"{size / 1e6:.0f}" for size in (memory, memory_between, service.memory_bytes()))
    print(f"MB that the worker holds before, between and after: {sizes}")
    wrong += scan(service)
    print(f"metric series: {len(series)} once all cases were played, {len(service.series())} at the end")
    print(*wrong, sep="\n")
    return wrong


def schemathesis(service: Service, folder: Path, requests: int, seed: int) -> tuple[int, list[str]]:
    """How many requests schemathesis made from the service's document, about as many as asked for, and what failed."""
    report, made, failures = folder / "schemathesis.json", 0, Counter[str]()
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{service.url}/docs.json"]
    command += ["--checks", "all", "--exclude-checks", LEFT_OUT, "--continue-on-failure", "--no-color"]
    command += ["--generation-database", "none", "--report", "json", "--report-json-path", str(report)]
    for turn, phases in enumerate(["coverage", "fuzzing", "fuzzing", "fuzzing", "fuzzing"]):
        if made >= requests:
            break
        examples = max(1, (requests - made) // 7)
        options = ["--phases", phases, "--seed", str(seed + turn), "--max-examples", str(examples)]
        ended = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True, check=False)
        if ended.returncode not in (0, 1):
            raise RuntimeError(ended.stdout + ended.stderr)
        found = json.loads(report.read_text())
        made += found["test_cases"]["generated"]
        failures.update(
            f"schemathesis: {each['title']} at {', '.join(each['operations'])}" for each in found["failures"]
        )
        if found["failures"]:
            print(ended.stdout)
    return made, list(failures)


if __name__ == "__main__":
    main()
