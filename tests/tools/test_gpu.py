"""The check of a GPU: what it says without one, and that it runs through on the CPU."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from skygen.gan.card import load_generator
from skygen.tiles.store import TileStore
from tests.harness.gpu_parts import answers, breaks, raises, waits
from tools.gpu import pack, paths, trainings
from tools.gpu.__main__ import main, parts
from tools.gpu.asked import Asked
from tools.gpu.parts import Part, run

ROOT = Path(__file__).parents[2]
BARE = """
import sys
for name in ("astropy", "mlflow", "PIL", "onnx", "onnxruntime", "scipy", "pyarrow", "click", "matplotlib"):
    sys.modules[name] = None
import tools.gpu.__main__, tools.gpu.pack, torch
tools.gpu.__main__.drawing.bundle_of, tools.gpu.__main__.trainings.Validation
"""


@pytest.fixture
def asked(tmp_path):
    return Asked("cpu", 3, "laptop", tmp_path / "gpu", tmp_path / "none", tmp_path / "out", 4, (70, 40))


@pytest.fixture
def stores(tmp_path, write_store):
    """Tiny stores of the three sets, of noise with a bright spot each."""
    rng = np.random.default_rng(0)
    for name, bands, size in (("r64", 1, 64), ("gri128", 3, 128), ("sky", 3, 64)):
        tiles = {}
        for split, count in (("train", 40), ("validation", 34), ("test", 2)):
            flux = rng.normal(0, 0.03, (count, bands, size, size))
            rows, columns = rng.integers(8, size - 8, (2, count))
            flux[np.arange(count), :, rows, columns] += rng.uniform(1, 20, (count, 1))
            tiles[split] = flux.astype(np.float32)
        write_store(tmp_path / "tiles" / name, tiles)
    return tmp_path / "tiles"


def test_without_a_gpu_it_ends_with_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == "gpu: torch sees no GPU here; --device cpu --iterations 3 runs the same on a CPU"


def test_without_stores_it_says_what_writes_them(tmp_path):
    with pytest.raises(SystemExit) as ended:
        main(["--device", "cpu", "--store", str(tmp_path)])
    assert str(ended.value.code).endswith("has no tile store r64, gri128, sky; make gpu-pack writes them")


def test_every_part_fits_into_a_call(asked):
    on_gpu = list(parts(replace(asked, device="cuda", batches=(32, 512))))

    assert max(part.limit_s for part in on_gpu) <= 600
    assert [part.name for part in on_gpu if part.told] == ["long r64 gan", "long r64 improved"]
    assert [part.name for part in on_gpu if part.name.startswith("speed")] == [
        f"speed {tiles} {batch}" for tiles in ("r64", "gri128") for batch in (32, 512)
    ]


@pytest.mark.parametrize(
    ("check", "arguments", "failure"),
    [
        (breaks, (), "its process ended with 3"),
        (waits, (), "not done within 0.5 s"),
        (raises, ("planted",), "ValueError: planted"),
    ],
)
def test_a_part_that_fails_says_how_and_the_next_one_runs(asked, check, arguments, failure):
    limit = 0.5 if check is waits else 60.0
    assert run(Part("first", check, arguments, limit), asked)["failures"] == [failure]
    assert run(Part("next", answers, (), 60.0), asked) | {"seconds": 0} == {
        "part": "next", "seconds": 0, "failures": [], "measured": {"device": "cpu"}, "finished": True,
    }  # fmt: skip


def test_a_pack_is_an_even_part_of_a_store_in_float16(stores, tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "TILES", {"sky": {"train": 8, "validation": 4}})
    pack.main(["--tiles", str(stores), "--out", str(tmp_path / "gpu")])
    packed, whole = TileStore.open(tmp_path / "gpu" / "sky"), TileStore.open(stores / "sky")

    assert (packed.card.dtype, packed.card.name, packed.card.bands) == ("float16", "sky", whole.card.bands)
    assert (len(packed.split("train")), len(packed.split("validation")), len(packed.split("test"))) == (8, 4, 0)
    assert packed.card.conditions.items() <= whole.card.conditions.items()
    np.testing.assert_allclose(packed.split("train")[7], whole.split("train")[39], rtol=1e-3, atol=1e-6)


def test_the_shipped_amounts_stay_under_64_mib(params):
    of_sets = {name: params.tiles[name] for name in pack.TILES}
    bytes_a_tile = {name: 2 * len(of.bands) * of.size**2 for name, of in of_sets.items()}
    assert sum(bytes_a_tile[name] * sum(most.values()) for name, most in pack.TILES.items()) < 0.95 * 64 * 2**20


def test_it_starts_with_what_training_needs_and_nothing_else():
    subprocess.run(
        [sys.executable, "-c", BARE], check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    )


@pytest.fixture
def packed(stores, asked, monkeypatch):
    """What is asked, with packed stores to train on."""
    monkeypatch.setattr(pack, "TILES", {name: {"train": 32, "validation": 32} for name in pack.TILES})
    pack.main(["--tiles", str(stores), "--out", str(asked.store)])
    asked.out.mkdir()
    return asked


def test_a_training_goes_on_at_the_next_call_and_leaves_a_bundle(packed, monkeypatch):
    longer, metrics = replace(packed, long=12), trainings.Rows.metrics

    def at_its_limit(log, values, images_seen):
        metrics(log, values, images_seen)
        if values["iteration"] == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(trainings.Rows, "metrics", at_its_limit)
    stopped, finished = (trainings.to_the_end(longer, "r64", "gan", "1000") for _ in range(2))

    assert (stopped.finished, stopped.failures, finished.finished, finished.failures) == (False, [], True, [])
    assert (stopped.measured["iterations"], finished.measured["iterations"]) == (6, 12)
    assert load_generator(packed.out / "bundles" / "r64" / "gan")
    curve = [json.loads(line) for line in (packed.out / "long-r64-gan.jsonl").read_text().splitlines()]
    assert [row["iteration"] for row in curve if "iteration" in row] == list(range(1, 13))


def test_the_ways_to_play_are_compared(packed):
    found = paths.paths(packed, "gan")

    assert (found.measured, found.failures) == ({"gan: resident off": 0.0, "gan: graph off": 0.0}, [])


def test_ways_that_differ_are_found(packed, monkeypatch):
    monkeypatch.setattr(paths, "_apart", lambda one, other: 1e-8)

    assert paths.paths(packed, "gan").failures == [
        "gan: weights by resident are 1.0e-08 off",
        "gan: weights by graph are 1.0e-08 off",
    ]


def test_what_is_done_is_not_repeated_and_what_failed_is(asked, stores, monkeypatch, capsys):
    """Parts that only answer, by the command itself."""
    planted = [Part("first", answers, (), 60.0), Part("second", raises, ("planted",), 60.0)]
    monkeypatch.setattr("tools.gpu.__main__.parts", lambda asked: planted)
    options = ["--device", "cpu", "--iterations", "3", "--store", str(stores), "--out", str(asked.out)]

    def called(*more):
        with pytest.raises(SystemExit) as ended:
            main([*options, *more])
        told = capsys.readouterr().out
        return ended.value.code, [name for name in ("first", "second") if f"{name} " in told.split("gpu.json")[0]]

    assert called() == (1, ["first", "second"])
    assert called() == (1, ["second"])
    planted[1] = planted[1]._replace(check=answers, arguments=())
    assert called() == (0, ["second"])
    assert called() == (0, [])
    assert called("--scale", "workstation") == (0, ["first", "second"])
    assert [row["part"] for row in json.loads((asked.out / "gpu.json").read_text())["parts"]] == ["first", "second"]


def test_without_time_parts_are_left_for_the_next_call(asked, stores, monkeypatch, capsys):
    monkeypatch.setattr("tools.gpu.__main__.parts", lambda asked: [Part("first", answers, (), 60.0)])
    with pytest.raises(SystemExit) as ended:
        main(["--device", "cpu", "--store", str(stores), "--out", str(asked.out), "--minutes", "0.5"])

    assert ended.value.code == 0
    assert "1 are left, the same command goes on with them: first" in capsys.readouterr().out
    assert json.loads((asked.out / "gpu.json").read_text())["left"] == ["first"]


@pytest.mark.slow
def test_it_runs_through_on_a_cpu(packed):
    options = ["--device", "cpu", "--iterations", "3", "--scale", "laptop", "--tiles", "4", "--rectangle", "70", "40"]
    places = {"--store": packed.store, "--out": packed.out, "--bundles": packed.bundles}
    with pytest.raises(SystemExit) as ended:
        main([*options, *(str(word) for pair in places.items() for word in pair)])

    found = json.loads((packed.out / "gpu.json").read_text())
    assert [row["failures"] for row in found["parts"]] == [[]] * 29
    assert (ended.value.code, found["left"]) == (0, [])
    by_name = {row["part"]: row["measured"] for row in found["parts"]}
    assert by_name["parity gri128 scene"]["off"] == by_name["losses improved"]["off"] == 0
    assert by_name["training sky scene"]["resumes_to_the_bit"]
    assert by_name["training gri128 improved"]["iterations"] == 3
    assert by_name["training gri128 improved"]["hours_to_20000"] > 0
    assert by_name["speed gri128 32"]["resident_over_plain"] > 0
    assert by_name["long r64 improved"]["iterations"] == 3
    assert by_name["served r64 scene"]["rectangle_mpx_per_second"] > 0
    assert len(list(packed.out.glob("*.png"))) == 18
