import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.distributed import TCPStore

from skygen.gan.losses import clip_weights
from skygen.gan.networks import Discriminator
from skygen.training.distributed import ALONE, Team, join_team
from skygen.training.loop import train
from tests.training.one_of_many import SIZES
from tests.training.tiny import CPU, Recorder, content, same

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(noise_store):
    """A function: two processes of one training by torchrun, under way; its files go to `folder`."""

    def run(folder):
        folder.mkdir()
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        script = ["--max-restarts=1", "-m", "tests.training.one_of_many", "scene", noise_store.folder, folder]
        return subprocess.Popen(
            [*torchrun, *script],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


def finished(running):
    """What the processes said, line by line, after their end."""
    out, err = running.communicate(timeout=200)
    assert running.returncode == 0, err[-3000:]
    return [json.loads(line) for line in out.splitlines()]


def wait_for(path):
    end = time.monotonic() + 100
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_batch_is_shared_out_evenly_or_not_at_all():
    assert [Team(rank, 4).share(32) for rank in range(4)] == [slice(0, 8), slice(8, 16), slice(16, 24), slice(24, 32)]
    assert ALONE.share(7) == slice(0, 7)
    with pytest.raises(ValueError, match="a batch of 32 over 3 processes"):
        Team(1, 3).share(32)


def test_one_alone_is_a_team_that_waits_for_nobody():
    with join_team(CPU) as team:
        values, network = torch.tensor([1.0, 2.0]), nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
        team.barrier()

        assert team == ALONE
        assert team.writes
        assert team.mean(values) is values
        assert (team.any(True), team.any(False)) == (True, False)
        assert team.synchronised(network) is network


def test_batch_norm_is_refused_where_torch_cannot_synchronise_it():
    with_norm, without = (Discriminator(64, 1, 2, norm, 0.2) for norm in ("batch", "none"))

    assert Team(0, 2).synchronised(without) is without
    with pytest.raises(ValueError, match="batch norm over 2 processes needs GPUs; start one process"):
        Team(0, 2).synchronised(with_norm)


def test_synchronised_batch_norm_has_the_same_weights_and_is_spared_by_clipping_too():
    """What it computes needs GPUs to see; a network without numbers shows what it is made of."""
    plain = Discriminator(64, 1, 2, "batch", 0.2)
    network = Team(0, 2).synchronised(Discriminator(64, 1, 2, "batch", 0.2).to("meta"))

    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in network.norms)
    assert list(network.state_dict()) == list(plain.state_dict())
    network = network.to_empty(device=CPU)
    network.load_state_dict(plain.state_dict())
    clip_weights(network, 0.01, clip_norm=False)
    assert float(network.norms[0].weight.detach().min()) == 1
    assert float(network.last.weight.detach().abs().max()) <= 0.01


def test_a_restarted_team_reads_nothing_that_its_killed_processes_left_in_the_store(monkeypatch):
    """`torchrun` keeps its store over a restart; each life of a process writes there where it listens."""
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    for name, value in {"RUN_ID": "1", "USE_AGENT_STORE": "True"}.items():
        monkeypatch.setenv(f"TORCHELASTIC_{name}", value)
    for name, value in {"MASTER_ADDR": "localhost", "MASTER_PORT": store.port, "RANK": 0, "WORLD_SIZE": 1}.items():
        monkeypatch.setenv(name, str(value))
    said = []
    for life in "01":
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", life)
        with join_team(CPU) as team:
            assert team == ALONE
        said.append(len(store.list_keys()))

    assert said[1] == 2 * said[0] > 0


@pytest.mark.slow
def test_two_processes_train_as_one_does_and_go_on_after_one_was_killed(start, tmp_path, noise_store, recipes):
    straight = finished(start(tmp_path / "straight"))
    killed = start(tmp_path / "killed")
    first_life = [json.loads(killed.stdout.readline()) for _ in range(2)]
    wait_for(tmp_path / "killed" / "state.pt")
    os.kill(next(line["pid"] for line in first_life if line["rank"] == 1), signal.SIGKILL)
    went_on = finished(killed)
    ends = [torch.load(tmp_path / name / "end.pt", weights_only=True) for name in ("straight", "killed")]
    log = Recorder()
    alone = train(recipes["scene"], SIZES, noise_store, 0, CPU, tmp_path / "alone.pt", log)

    # That the second process cannot write a byte to a file did not trouble it.
    assert [(line["size"], line["life"]) for line in straight if "life" in line] == [(2, 0), (2, 0)]
    assert [(line["size"], line["life"]) for line in went_on if "life" in line] == [(2, 1), (2, 1)]
    assert same(ends[0]["content"], ends[1]["content"])
    for lines in (straight, went_on):
        first, second = (line["weights"] for line in lines if "weights" in line)
        assert first == second
    check_all_but_rounding(ends[0]["measured"], log.measured)
    trained = {
        name: value for name, value in content(alone).items() if name.startswith(("generator.", "discriminator."))
    }
    del trained["discriminator.stamps.last.bias"]  # no difference of logits knows of it: rounding alone moves it
    for name, weights in trained.items():
        torch.testing.assert_close(ends[0]["content"][name], weights, atol=1e-4, rtol=1e-3)


def check_all_but_rounding(measured, expected):
    """A team's losses and metrics are those of one alone to rounding, which a game amplifies."""
    assert [seen for seen, _ in measured] == [seen for seen, _ in expected] == [20, 40, 60, 80, 100, 120]
    for (_, values), (_, wanted) in zip(measured, expected, strict=True):
        speed = values.pop("images_per_second"), wanted.pop("images_per_second")
        assert min(speed) > 0
        assert {"discriminator_loss", "generator_loss", "validation_score"} < set(values)
        assert values == pytest.approx(wanted, rel=1e-3, abs=1e-6)
