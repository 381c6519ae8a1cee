"""What is rehearsed, act by act: each does what a team does, and raises `RuntimeError` where it ends otherwise."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tools.rehearse.load import Heard
from tools.rehearse.programs import await_true
from tools.rehearse.project import Project
from tools.rehearse.servers import Database, Receiver

TILES = "r64"  # the set whose champions come and go
ALERTS = ("SkygenDiversityLow", "SkygenSkyNoiseOff")  # one of them is told of, of a bundle that draws nothing
_DOWN_SECONDS = 10.0  # of the database
_TOLD_SECONDS = 120.0


@dataclass
class Rehearsal:
    """The parts, and what clients have heard so far."""

    project: Project
    database: Database
    tracking: str
    told: Receiver
    ports: tuple[int, int]
    nginx: str
    url: str
    heard: Heard = field(default_factory=Heard)

    def a_pipeline_runs(self) -> str:
        """Train, compare, package; the first champion stands."""
        self.project.compare(painters=["improved"], processes=[])
        self.project.run("dvc", "repro")
        return f"version {self.standing()['version']} of {TILES} stands in the registry"

    def its_champion_is_served(self) -> str:
        """Deploy; what is served is what the registry says."""
        self.deploy()
        return f"version {self.standing()['version']} is served at {self.url}"

    def the_database_is_killed_while_a_better_one_trains(self) -> str:
        """Train a process; the database goes in the middle of it and comes back."""
        self.project.compare(painters=["improved"], processes=["scene"])
        records = self.project.folder / ".checkpoints"
        with (self.project.folder / "commands.log").open("ab") as log:
            repro = subprocess.Popen(
                ["dvc", "repro"], cwd=self.project.folder, env=self.project.environment, stdout=log, stderr=log
            )
            await_true(lambda: repro.poll() is not None or any(records.glob("*.run")), "a training begins")
            if repro.poll() is not None:
                raise RuntimeError("dvc repro trained nothing; commands.log has what it said")
            self.database.kill()
            time.sleep(_DOWN_SECONDS)
            self.database.start()
            if repro.wait():
                raise RuntimeError(f"dvc repro ended with {repro.returncode}; commands.log has what it said")
        standing = self.standing()
        if standing["version"] != "2":
            raise RuntimeError(f"version 2 is better and was not promoted; version {standing['version']} stands")
        return f"away for {_DOWN_SECONDS:g} s; the training went on, and version 2 stands in the registry"

    def the_better_one_is_served(self) -> str:
        """Deploy the new champion under load."""
        with self._no_call_fails() as calls:
            self.deploy()
        return calls[0]

    def a_worse_one_is_refused(self) -> str:
        """Compare the first one again: the registry keeps what stands, and so does what is packaged."""
        self.project.compare(painters=["improved"], processes=[])
        self.project.run("dvc", "repro")
        if (standing := self.standing())["version"] != "2":
            raise RuntimeError(f"version 1 is worse; version {standing['version']} stands")
        with self._no_call_fails() as calls:
            self.deploy()
        return f"version 2 stands and is served still; {calls[0]}"

    def bad_quality_is_told_of(self) -> str:
        """Promote the bad one in spite of the verdict, and wait for the alert."""
        why = "rehearsal: a bundle that draws next to nothing"
        self.told.told.clear()  # of the first champion, which was as bad
        self.project.run("skygen", "promote", TILES, "1", "--anyway", "--why", why)
        with self._no_call_fails() as calls:
            self.deploy()
            began = time.monotonic()
            await_true(lambda: any(self._is_told(alert) for alert in ALERTS), " or ".join(ALERTS), _TOLD_SECONDS)
        return f"the receiver was told after {time.monotonic() - began:.0f} s; {calls[0]}"

    def it_is_rolled_back(self) -> str:
        """Roll back under load."""
        self.project.run("skygen", "rollback", TILES, "--why", "rehearsal: the alert")
        with self._no_call_fails() as calls:
            self.deploy()
        if (standing := self.standing())["version"] != "2":
            raise RuntimeError(f"version 2 stood before; version {standing['version']} stands")
        return f"version 2 is served again; {calls[0]}"

    def nothing_is_lost(self) -> str:
        """Every point of every training is in the database, and nothing waits to be published."""
        self.project.run("skygen", "publish")
        if waiting := sorted(self.project.folder.glob(".checkpoints/*.run")):
            raise RuntimeError(f"not published: {waiting}")
        runs, points = self._runs(), 0
        for path in sorted(self.project.folder.glob("models/*/*/*/history.json")):
            steps = [row["images_seen"] for row in json.loads(path.read_text(encoding="utf-8"))]
            if not any(self._steps(run) == steps for run in runs):
                raise RuntimeError(f"no run has the points of {path}: {steps}")
            points += len(steps)
        if unfinished := [run["info"]["run_name"] for run in runs if run["info"]["status"] != "FINISHED"]:
            raise RuntimeError(f"not finished in the database: {unfinished}")
        audit = self.project.run("skygen", "models", "--set", TILES, "--audit").strip().splitlines()[1:]
        return f"{len(runs)} runs and all their points are in the database, and {len(audit)} entries of the audit"

    def standing(self) -> dict[str, Any]:
        """The version that stands in the registry."""
        held = json.loads(self.project.run("skygen", "models", "--json"))[TILES]
        found: dict[str, Any] = next(one for one in held["versions"] if one["stands"])
        return found

    def deploy(self) -> None:
        """Deploy the registry's champions, as `make deploy` does, and ask through the proxy what is served."""
        self.project.run("skygen", "release", ".deploy/next")
        ports = ",".join(map(str, self.ports))
        self.project.run("skygen", "deploy", ".deploy/next", "--nginx", self.nginx, "--url", self.url, "--ports", ports)
        models = httpx.get(f"{self.url}/v1/models", timeout=60, trust_env=False).json()["models"]
        served = next(one["sha256"] for one in models if one["tiles"] == TILES and one["champion"])
        if served != (standing := self.standing())["sha256"]:
            raise RuntimeError(f"{served} is served, and version {standing['version']} stands: {standing['sha256']}")

    @contextmanager
    def _no_call_fails(self) -> Iterator[list[str]]:
        """Raises `RuntimeError` where a call has failed within; holds how many there were, in words."""
        before, again, said = self.heard.calls, self.heard.again, list[str]()
        yield said
        calls = self.heard.calls - before
        if self.heard.failed or not calls:
            raise RuntimeError(f"of {calls} calls these failed: {dict(self.heard.failed)}")
        said.append(f"no call of {calls} failed, {self.heard.again - again} were sent again")

    def _is_told(self, alert: str) -> bool:
        return any(f"firing {alert}".encode() in body for body in list(self.told.told))

    def _runs(self) -> list[dict[str, Any]]:
        """The trainings in MLflow."""
        client = httpx.Client(base_url=f"{self.tracking}/api/2.0/mlflow", timeout=60, trust_env=False)
        with client:
            named = client.get("/experiments/get-by-name", params={"experiment_name": "skygen"}).json()
            asked = {"experiment_ids": [named["experiment"]["experiment_id"]], "max_results": 1000}
            found: list[dict[str, Any]] = client.post("/runs/search", json=asked).json()["runs"]
        return found

    def _steps(self, run: dict[str, Any]) -> list[int]:
        """The steps at which a run reported its losses."""
        asked = {"run_id": run["info"]["run_id"], "metric_key": "generator_loss", "max_results": "10000"}
        url = f"{self.tracking}/api/2.0/mlflow/metrics/get-history"
        answer = httpx.get(url, params=asked, timeout=60, trust_env=False)
        return [int(metric["step"]) for metric in answer.json().get("metrics", [])]
