"""The tables of benchmarks.serving, and whether its goals are met."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from benchmarks.load import LoadResult
from benchmarks.peers.servers import NOTHING, PEERS, SETS, SKYGEN, Server
from benchmarks.serving_parts import BATCHES, FORMATS, Model
from skygen.formats.encode import Format

FEW, MANY, MOST = 1, 16, 64  # clients
CLIENTS = (FEW, MANY, MOST)
LARGE = 256  # tiles of one request
TAKEN: tuple[Format, ...] = ("npy", "png")
COLUMNS: tuple[tuple[str, Format], ...] = tuple(product(SETS, TAKEN))

LEAST_SHARE = 0.85  # of what the parts allow
TIMES_OF_PEERS = {"r64": 1.0, "gri128": 2.0}
TIMES_OF_LISTS = 5.0
MOST_ADDED_SECONDS = 0.004  # to one tile's own time, at one client
MOST_SPREAD = 5.0  # p99 / p50
MOST_OF_BARE = 1.3


class Case(NamedTuple):
    """Who is asked for what, by how many clients, drawn by which engine."""

    server: Server
    tiles: str
    format: str
    clients: int = MANY
    engine: str = "auto"
    n: int = 1


class Seen(NamedTuple):
    """What was measured, a value a round: of each case, and of the parts by tile set and tiles a pass."""

    windows: dict[Case, list[LoadResult]]
    model: dict[tuple[str, int], list[float]]  # tiles/s on all cores: network, blur and noise
    network: dict[tuple[str, int], list[float]]  # the network alone
    one_tile: dict[str, list[float]]  # seconds

    def rate(self, case: Case) -> float:
        """Answers a second."""
        return statistics.median(window.per_second for window in self.windows[case])

    def p50(self, case: Case) -> float:
        """Seconds that half of the answers take."""
        return statistics.median(window.p50_seconds for window in self.windows[case])

    def p99(self, case: Case) -> float:
        """Seconds within which 99 % of the answers come."""
        return statistics.median(window.p99_seconds for window in self.windows[case])

    def limit(self, tiles: str, name: str) -> float:
        """Tiles a second that the parts allow: 1 / (a tile of the model + a call that does nothing)."""
        return 1 / (1 / best(self.model, tiles) + 1 / self.rate(Case(NOTHING, tiles, name)))

    def statuses(self) -> Counter[str]:
        """All answers by status."""
        return sum((Counter(window.statuses) for windows in self.windows.values() for window in windows), Counter())


def best(of: Mapping[tuple[str, int], list[float]], tiles: str) -> float:
    """The median tiles/s at the number of tiles a pass where it is highest."""
    return max(statistics.median(of[tiles, batch]) for batch in BATCHES)


def print_tables(seen: Seen, models: Mapping[str, Model]) -> None:
    """Print every table, with the goals below each."""
    _print_parts(seen)
    _print_throughput(seen)
    _print_waiting(seen)
    _print_large(seen)
    _print_encodings(models)
    print("answers by status: " + ", ".join(f"{status}: {count}" for status, count in seen.statuses().items()))


def _print_parts(seen: Seen) -> None:
    print("Parts alone, tiles/s on all cores by tiles a pass; ms of one tile on one core")
    print(f"{'':28}" + "".join(f"{batch:>9}" for batch in BATCHES) + f"{'one, ms':>10}")
    for tiles in SETS:
        for label, of in (("network", seen.network), ("network, blur, noise", seen.model)):
            values = "".join(f"{statistics.median(of[tiles, batch]):9.0f}" for batch in BATCHES)
            alone = f"{statistics.median(seen.one_tile[tiles]) * 1e3:10.1f}" if of is seen.model else ""
            print(f"{tiles + ' ' + label:28}{values}{alone}")
    print()


def _print_throughput(seen: Seen) -> None:
    print(f"Tiles/s, {MANY} clients, one tile a request; peers have skygen's engine where none is named")
    print(f"{'':46}" + "".join(f"{tiles + ' ' + name:>17}" for tiles, name in COLUMNS))
    ours = [seen.rate(Case(SKYGEN, *column)) for column in COLUMNS]
    allowed = [seen.limit(*column) for column in COLUMNS]
    _rates("model, at its best passes", [best(seen.model, tiles) for tiles, _ in COLUMNS])
    _rates(NOTHING.name, [seen.rate(Case(NOTHING, *column)) for column in COLUMNS])
    _rates("the parts allow", allowed)
    _rates(SKYGEN.name, ours)
    peers = [(server, engine) for server in PEERS for engine in server.engines]
    for server, engine in peers:
        _rates(_label(server.name, engine), [_peer(seen, server, column, engine) for column in COLUMNS])
    _ratios("skygen / the parts allow", ours, allowed, [LEAST_SHARE] * len(COLUMNS))
    for name, engine in product(("FastAPI", "LitServe", "BentoML"), ("auto", "eager")):
        of_name = [server for server, its_engine in peers if server.name.startswith(name) and its_engine == engine]
        theirs = [max(_peer(seen, server, column, engine) for server in of_name) for column in COLUMNS]
        goals = [TIMES_OF_LISTS if name == "BentoML" else TIMES_OF_PEERS[tiles] for tiles, _ in COLUMNS]
        _ratios(f"skygen / the fastest {_label(name, engine)}", ours, theirs, goals)
        most = (f"({limit / rate:.2f})" for limit, rate in zip(allowed, theirs, strict=True))
        _cells("  (what the parts allow / the same)", most)
    print()


def _label(name: str, engine: str) -> str:
    return name + (", PyTorch eager" if engine == "eager" else "")


def _peer(seen: Seen, server: Server, column: tuple[str, str], engine: str) -> float:
    """Tiles a second; of one that knows one format alone, those of that format."""
    tiles, name = column
    return seen.rate(Case(server, tiles, name if name in server.formats else server.formats[0], engine=engine))


def _print_waiting(seen: Seen) -> None:
    print(f"{'Waiting, ms':16}" + "".join(f"{f'{clients} clients: /s':>16}{'p50':>8}{'p99':>8}" for clients in CLIENTS))
    for tiles, name in COLUMNS:
        cases = [Case(SKYGEN, tiles, name, clients) for clients in CLIENTS]
        cells = (f"{seen.rate(case):16.0f}{seen.p50(case) * 1e3:8.1f}{seen.p99(case) * 1e3:8.1f}" for case in cases)
        print(f"{tiles + ' ' + name:16}" + "".join(cells))
    added, spread = [], []
    for column in COLUMNS:
        few, many = Case(SKYGEN, *column, FEW), Case(SKYGEN, *column, MANY)
        added.append(seen.p50(few) - statistics.median(seen.one_tile[column[0]]))
        spread.append(seen.p99(many) / seen.p50(many))
    marks = (f"{value * 1e3:.1f} {_verdict(value <= MOST_ADDED_SECONDS)}" for value in added)
    _cells(f"p50 at {FEW} client - one tile's own time, ms", marks)
    _cells(f"p99 / p50 at {MANY} clients", (f"{value:.1f} {_verdict(value <= MOST_SPREAD)}" for value in spread))
    print()


def _print_large(seen: Seen) -> None:
    print(f"{LARGE} tiles in one request, as npy")
    for tiles in SETS:
        bare = LARGE / best(seen.model, tiles)
        took = seen.p50(Case(SKYGEN, tiles, "npy", FEW, n=LARGE))
        verdict = _verdict(took / bare <= MOST_OF_BARE)
        print(
            f"{tiles:8} {took:6.2f} s; the model at its best passes {bare:6.2f} s: {took / bare:.2f} times, {verdict}"
        )
    print()


def _print_encodings(models: Mapping[str, Model]) -> None:
    print(f"{'Encoding a tile':16}" + "".join(f"{name + ', ms':>10}{'bytes':>10}" for name in FORMATS))
    for tiles, model in models.items():
        measured = [model.encoding_seconds(name) for name in FORMATS]
        print(f"{tiles:16}" + "".join(f"{seconds * 1e3:10.3f}{size:10}" for seconds, size in measured))
    print()


def _rates(label: str, values: Sequence[float]) -> None:
    _cells(label, (f"{value:.0f}" for value in values))


def _ratios(label: str, ours: Sequence[float], theirs: Sequence[float], least: Sequence[float]) -> None:
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    _cells(label, (f"{ratio:.2f} {_verdict(ratio >= goal)}" for ratio, goal in zip(ratios, least, strict=True)))


def _verdict(met: bool) -> str:
    return "met" if met else "NOT MET"


def _cells(label: str, cells: Iterable[str]) -> None:
    print(f"{label:46}" + "".join(f"{cell:>17}" for cell in cells))
