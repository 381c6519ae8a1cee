"""The watch on a worker: what it tells of its bundles, canaries, and a device that fails while it serves."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY

from serving.bundles import ServedBundles
from serving.monitoring import health, quality
from serving.monitoring import watch as watching
from serving.monitoring.health import DEAD_SECONDS, FAILURES, HUNG_SECONDS, Health
from serving.monitoring.quality import Pass, record
from serving.monitoring.watch import Watch, canary
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile
from tests.serving.local import listening
from tests.serving.samples import R64, Added, all_series, tiles_of_seed


@pytest.fixture
def watch(catalogue: ServedBundles) -> Iterator[Watch]:
    started = watching.start(catalogue)
    yield started
    started.stop()


def test_a_worker_tells_what_it_serves(watch: Watch, bundle: Bundle, added: Added) -> None:
    version, drawn = bundle.sha256[:12], canary(bundle)[:12]
    told = {(name, *labels) for name, *labels in all_series() if str(name).endswith("_info")}
    info = {**R64, "champion": "true", "version": version, "data_hash": "0123456789ab", "engine": bundle.engine}
    assert ("skygen_model_info", *info.items()) in told
    info = {**R64, "version": version, "engine": bundle.engine, "sha256": drawn}
    assert ("skygen_canary_info", *info.items()) in told
    for form in ("png", "npy", "fits", "json"):
        assert added("skygen_tiles_total", **R64, format=form) == 0
    assert added("skygen_canary_mismatches_total", **R64) == 0


def test_starting_counts_the_worker_and_looks_at_the_realtiles(catalogue: ServedBundles, added: Added) -> None:
    watching.start(catalogue).stop()
    assert added("skygen_worker_starts_total") == 1
    assert REGISTRY.get_sample_value("skygen_real_sky_noise_nmgy", {"tiles": "r64", "band": "r"}) == pytest.approx(
        0.03, rel=0.02
    )
    assert REGISTRY.get_sample_value("skygen_real_diversity", {"tiles": "r64"}) == pytest.approx(0, abs=0.05)


def test_a_look_measures_a_bundles_latest_tiles_once(catalogue: ServedBundles, bundle: Bundle, added: Added) -> None:
    watch = Watch(catalogue, Health())
    quality._latest.clear()
    for seed in range(3):
        pair = [Tile(seed, index) for index in range(2)]
        record(bundle.draw(pair), bundle, pair)
    watch.look()
    watch.look()
    assert added("skygen_sample_sky_noise_nmgy_count", **R64, band="r") == 1
    assert added("skygen_sample_diversity_count", **R64) == 1


def test_a_canary_is_a_bundles_own(bundle: Bundle, tmp_path: Path, write_bundle: Callable[..., object]) -> None:
    write_bundle(tmp_path, recipe="scene", seed=1)
    assert canary(bundle) == canary(bundle)
    assert canary(Bundle.load(tmp_path)) != canary(bundle)


def test_bits_that_change_are_counted_and_logged(
    bundle: Bundle, tmp_path: Path, write_bundle: Callable[..., object], added: Added, caplog: pytest.LogCaptureFixture
) -> None:
    write_bundle(tmp_path, recipe="scene", seed=1)
    other, mutable = Bundle.load(tmp_path), Bundle.load(tmp_path)
    watch = Watch(ServedBundles({"r64": {"scene": mutable}}, {"r64": "scene"}, {}), Health())
    watch._drawn -= watching.CANARY_SECONDS
    watch.test_device()
    assert added("skygen_canary_mismatches_total", **R64) == 0
    mutable._drawer = bundle._drawer  # as a fault of the memory or another library would have it: other numbers
    with caplog.at_level(logging.ERROR, "serving.monitoring.watch"):
        watch.test_device()  # not due
        assert added("skygen_canary_mismatches_total", **R64) == 0
        watch._drawn -= watching.CANARY_SECONDS
        watch.test_device()
    assert added("skygen_canary_mismatches_total", **R64) == 1
    assert f"has the hash {canary(mutable)[:12]} and had {canary(other)[:12]}" in caplog.text


def test_the_watch_outlives_what_goes_wrong_in_it(
    watch: Watch, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = Pass(np.zeros((2, 64), dtype=np.float32), bundle, tiles_of_seed(2))
    with caplog.at_level(logging.ERROR, "serving.monitoring.watch"):
        another = Watch(ServedBundles({"r64": {"scene": bundle}}, {"r64": "scene"}, {}), Health())
        quality._latest["damaged"] = [damaged]
        another.start()
        while another.is_alive() and "it goes on" not in caplog.text:
            another.join(0.01)
    assert another.is_alive()
    another.stop()
    assert not another.is_alive()


def _fail(*_: object) -> None:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_a_device_that_fails_is_found_without_traffic_and_recovers(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, added: Added
) -> None:
    """As a GPU does it: every pass fails from some moment on; by canaries alone, since nobody asks for tiles."""
    state, app = Health(), FastAPI()
    app.include_router(health.router(has_metrics=False))
    app.state.health, app.state.drawing = state, object()
    watch = Watch(ServedBundles({"r64": {"scene": bundle}}, {"r64": "scene"}, {}), state)
    with (
        listening(app) as (host, port),
        httpx.Client(base_url=f"http://{host}:{port}") as client,
        monkeypatch.context() as broken,
    ):
        assert [client.get(path).status_code for path in health.PATHS] == [200, 200, 200]
        broken.setattr(bundle._drawer, "draw", _fail)
        watch._drawn -= watching.CANARY_SECONDS  # the first is due; the next follow at once, since it failed
        for times in range(1, FAILURES + 1):
            watch.test_device()
            assert client.get("/readyz").status_code == (503 if times >= FAILURES else 200)
        assert client.get("/livez").status_code == 200
        assert REGISTRY.get_sample_value("skygen_ready") == 0
        assert added("skygen_failed_passes_total", **R64, kind="canary") == FAILURES
        assert state._ill_since is not None
        state._ill_since -= DEAD_SECONDS
        assert [client.get(path).status_code for path in health.PATHS] == [503, 503, 503]
        broken.undo()
        watch.test_device()
        assert [client.get(path).status_code for path in health.PATHS] == [200, 200, 200]
    assert REGISTRY.get_sample_value("skygen_ready") == 1


def test_a_device_that_hangs_is_found_too() -> None:
    state = Health()
    state.canary_begins()
    assert state.ill_seconds() == 0
    assert state._canary_since is not None
    state._canary_since -= HUNG_SECONDS + 1
    assert state.ill_seconds() > 0
    state.canary_ends()
    assert state.ill_seconds() == 0
