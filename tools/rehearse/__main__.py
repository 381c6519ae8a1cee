"""Rehearse running the project for real, on real parts of this machine: python -m tools.rehearse, or make rehearse.

PostgreSQL, MLflow, Prometheus, Alertmanager, nginx and two services run as processes on free ports of 127.0.0.1, over a
small copy of the project. A pipeline runs, its champion is served, a better one is promoted, a worse one refused, a bad
one told of and rolled back, all under load, and the database is killed in the middle.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from skygen.files import read_json
from tools.rehearse import servers
from tools.rehearse.acts import Rehearsal
from tools.rehearse.load import load
from tools.rehearse.programs import PACKAGES, find, free_port, running
from tools.rehearse.project import Project

ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every act; ends with 1 at the first that does not end as it should, and then keeps the folder."""
    parser = argparse.ArgumentParser(prog="rehearse", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep the folder with all logs")
    asked = parser.parse_args(arguments)
    for name in PACKAGES:
        find(name)
    folder, began = Path(tempfile.mkdtemp(prefix="skygen-rehearsal-")), time.monotonic()
    folder.chmod(0o755)  # the database's own user goes through it
    try:
        with rehearsal(folder) as parts:
            first = (parts.a_pipeline_runs, parts.its_champion_is_served)
            under_load = (
                parts.the_database_is_killed_while_a_better_one_trains,
                parts.the_better_one_is_served,
                parts.a_worse_one_is_refused,
                parts.bad_quality_is_told_of,
                parts.it_is_rolled_back,
            )
            for act in first:
                play(act)
            with load(parts.url, "r64") as parts.heard:
                for act in under_load:
                    play(act)
            play(parts.nothing_is_lost)
    except Exception as error:  # whatever a part comes up with
        sys.exit(f"rehearse: {error}\nlogs: {folder}")
    if not asked.keep:
        shutil.rmtree(folder)
    print(f"all in {time.monotonic() - began:.0f} s{f'; logs: {folder}' if asked.keep else ''}")


def play(act: Callable[[], str]) -> None:
    """Play an act, and say how it ended."""
    began = time.monotonic()
    print(f"{act.__name__.replace('_', ' ')}: ", end="", flush=True)
    print(f"{act()} ({time.monotonic() - began:.0f} s)", flush=True)


@contextmanager
def rehearsal(folder: Path) -> Iterator[Rehearsal]:
    """All parts, which run meanwhile in `folder`."""
    with ExitStack() as stack:
        database = stack.enter_context(servers.database(folder))
        tracking = stack.enter_context(servers.tracking(folder, database.uri))
        project = Project(ROOT, folder / "project", tracking)
        nginx, url = stack.enter_context(servers.proxy(folder, ROOT / "serving/proxy"))
        ports, exporter = (free_port(), free_port()), free_port()
        command = [str(Path(sys.executable).parent / "skygen"), "exporter", "--port", str(exporter), "--every", "5"]
        stack.enter_context(running("exporter", command, folder, project.environment))
        told = stack.enter_context(servers.receiver())
        deployed = project.folder / ".deploy"
        monitoring = ROOT / "serving/monitoring"
        stack.enter_context(servers.alarms(folder, monitoring, deployed / "targets.json", exporter, told))
        stack.callback(_end_services, deployed / "state.json")
        yield Rehearsal(project, database, tracking, told, ports, nginx, url)


def _end_services(state: Path) -> None:
    """End what was deployed, which outlives the command that did it."""
    if state.is_file() and (serving := read_json(state)["serving"]):
        with suppress(ProcessLookupError):
            os.kill(serving["pid"], signal.SIGTERM)


if __name__ == "__main__":
    main()
