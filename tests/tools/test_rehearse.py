"""The rehearsal: a pipeline, deployments under load, alarms and a killed database, on real parts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import program

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_rehearsal_ends_well() -> None:
    for name in ("initdb", "nginx", "prometheus", "prometheus-alertmanager"):
        program(name)
    done = subprocess.run(
        [sys.executable, "-m", "tools.rehearse"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "no call of" in done.stdout
