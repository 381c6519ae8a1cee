"""The service against its parts and its peers: tiles a second, waiting times, many tiles at once, encodings.

Closed loops of 1, 16 and 64 clients, in a process of their own on the same cores. Servers and parts are measured in
turn, three times, so that what disturbs the machine meets all; medians count. Networks have their full width, and
random weights. `--quick` goes round once.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from itertools import count, product
from pathlib import Path

from tqdm import tqdm

from benchmarks.limits import print_machine
from benchmarks.load import FIRST_SEED, Load, measure
from benchmarks.peers.servers import NOTHING, PEERS, SETS, SKYGEN, Server, started
from benchmarks.serving_parts import BATCHES, RECIPE, Model, write_bundles
from benchmarks.serving_tables import FEW, LARGE, MOST, TAKEN, Case, Seen, print_tables

MODEL_SECONDS = 0.4  # of each batch in each round
WARM_SECONDS = 0.3
SEEDS_A_WINDOW = 10**6


def main() -> None:
    """Print the tables and which goals are met; ends with status 1 where an answer was none of 200."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a window")
    parser.add_argument("--quick", action="store_true", help="one round of 1 s windows")
    arguments = parser.parse_args()
    rounds, seconds = (1, 1.0) if arguments.quick else (arguments.rounds, arguments.seconds)
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        bundles, logs = Path(folder) / "bundles", Path(folder) / "logs"
        logs.mkdir()
        write_bundles(bundles)
        models = {tiles: Model(bundles / tiles / RECIPE) for tiles in SETS}
        with started([SKYGEN, NOTHING, *PEERS], bundles, logs) as ports:
            seen = observe(models, ports, rounds, seconds)
    print_tables(seen, models)
    if set(seen.statuses()) != {"200"}:
        sys.exit("there were other answers than 200")


def cases() -> list[Case]:
    """What is measured in a round, in this order: what is compared lies side by side."""
    found = []
    for tiles, name in product(SETS, TAKEN):
        asked = [server for server in (SKYGEN, NOTHING, *PEERS) if name in server.formats]
        found += [Case(server, tiles, name, engine=engine) for server in asked for engine in server.engines]
        found += [Case(SKYGEN, tiles, name, clients) for clients in (FEW, MOST)]
    return found + [Case(SKYGEN, tiles, "npy", FEW, n=LARGE) for tiles in SETS]


def observe(models: Mapping[str, Model], ports: Mapping[Server, int], rounds: int, seconds: float) -> Seen:
    """Every case and every part, in turn, so many times."""
    sizes: dict[tuple[str, str], int] = {
        (tiles, name): model.encoding_seconds(name)[1] for tiles, model in models.items() for name in TAKEN
    }
    seen = Seen(defaultdict(list), defaultdict(list), defaultdict(list), defaultdict(list))
    seeds = count(FIRST_SEED, SEEDS_A_WINDOW)
    with tqdm(total=rounds * (len(cases()) + len(models)), unit="case", leave=False) as progress:
        for _ in range(rounds):
            for tiles, model in models.items():
                seen.one_tile[tiles].append(model.one_tile_seconds())
                for batch in BATCHES:
                    seen.model[tiles, batch].append(model.tiles_per_second(batch, MODEL_SECONDS))
                    seen.network[tiles, batch].append(model.network_tiles_per_second(batch, MODEL_SECONDS))
                progress.update()
            for case in cases():
                size = sizes[case.tiles, case.format]
                seen.windows[case].append(measure(_load(case, ports[case.server], seconds, next(seeds), size)))
                progress.update()
    return seen


def _load(case: Case, port: int, seconds: float, first_seed: int, size: int) -> Load:
    fields: dict[str, str | int] = {"tiles": case.tiles, "n": case.n}
    if case.server is NOTHING:
        fields = {"size": size}
    elif case.server.formats == TAKEN:
        fields["format"] = case.format
    if case.server in PEERS and case.server.engines != ("auto",):
        fields["engine"] = case.engine
    if case.n > 1:
        return Load(port, case.server.path, fields, case.clients, 0, 0, first_seed=first_seed)  # until one answer
    return Load(port, case.server.path, fields, case.clients, seconds, WARM_SECONDS, first_seed=first_seed)


if __name__ == "__main__":
    main()
