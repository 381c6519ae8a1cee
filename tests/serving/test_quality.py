"""What is watched of the tiles that are served: planted flaws are found, and a client's own choices are no flaws."""

import logging
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from prometheus_client import REGISTRY

from serving import quality
from serving.catalogue import Catalogue, RealCard, RealTiles
from serving.quality import Pass, Watch, measure, observe, scene_diversity
from skygen.bundle import Bundle
from skygen.measure.pixels import STRETCH
from skygen.sky.noise import sky_noise
from skygen.tile import Tile, walk

R64 = {"tiles": "r64", "recipe": "scene"}
Added = Callable[..., float]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., object]) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    write_bundle(folder, recipe="scene", data_hash="0123456789abcdef" * 4)
    return Bundle.load(folder)


@pytest.fixture
def catalogue(bundle: Bundle) -> Catalogue:
    real = RealTiles(RealCard(source="simulated", split="test", fields=["a"] * 8), _noise(8, 0.03))
    return Catalogue({"r64": {"scene": bundle}}, {"r64": "scene"}, {"r64": real})


@pytest.fixture
def added() -> Added:
    """A function: by how much a series has grown since the test began."""
    before = {
        (sample.name, *sample.labels.items()): sample.value for found in REGISTRY.collect() for sample in found.samples
    }

    def since(name: str, **labels: str) -> float:
        [(series, value)] = [found for found in _series().items() if found[0] == (name, *labels.items())]
        return value - before.get(series, 0.0)

    return since


@pytest.fixture
def watch(catalogue: Catalogue) -> Iterator[Watch]:
    started = quality.start(catalogue)
    yield started
    started.stop()


def _series() -> dict[tuple[object, ...], float]:
    return {(s.name, *s.labels.items()): s.value for found in REGISTRY.collect() for s in found.samples}


def _noise(tiles: int, sigma_nmgy: float, size: int = 64) -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(0, sigma_nmgy, (tiles, 1, size, size)).astype(np.float32)


def _tiles(n: int) -> list[Tile]:
    return [Tile(7, index) for index in range(n)]


def test_pixels_are_counted_and_none_of_a_clean_pass_is_bad(bundle: Bundle, added: Added) -> None:
    assert observe(_noise(3, 0.03), bundle, _tiles(3)) == []
    assert added("skygen_sample_pixels_total", **R64) == 3 * 64 * 64


def test_bad_pixels_are_counted_by_kind_and_their_tiles_named(
    bundle: Bundle, added: Added, caplog: pytest.LogCaptureFixture
) -> None:
    flux = _noise(4, 0.03)
    observe(flux, bundle, _tiles(4))
    flux = flux.copy()
    flux[0, 0, 0, :5] = 100
    flux[1, 0, 3, 3] = np.nan
    flux[3, 0, :2, 0] = np.inf
    flux[3, 0, 5, 5] = -100
    quality._reported.clear()
    with caplog.at_level(logging.ERROR, "serving.quality"):
        assert observe(flux, bundle, _tiles(4)) == [1, 3]
        assert observe(flux, bundle, _tiles(4)) == [1, 3]
    assert added("skygen_sample_bad_pixels_total", **R64, kind="nonfinite") == 6
    assert added("skygen_sample_bad_pixels_total", **R64, kind="saturated") == 12
    assert [record.getMessage() for record in caplog.records] == [
        "r64/scene drew pixels that are no numbers; such tiles are not sent"
    ]


def test_threads_count_together(bundle: Bundle, added: Added) -> None:
    flux = _noise(3, 0.03, size=8)
    flux[0, 0, 0, 0] = 100
    observe(flux, bundle, _tiles(3))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: observe(flux, bundle, _tiles(3)), range(400))) == [[]] * 400
    assert added("skygen_sample_pixels_total", **R64) == 401 * 3 * 64
    assert added("skygen_sample_bad_pixels_total", **R64, kind="saturated") == 401
    assert 8 <= sum(len(drawn.flux) for drawn in quality._latest.pop(bundle.sha256)) < 8 + 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_kind_of_pixel_that_is_no_number_gets_through(bundle: Bundle, bad: float) -> None:
    flux = _noise(2, 0.03)
    flux[1, 0, 63, 63] = bad
    assert observe(flux, bundle, _tiles(2)) == [1]


def test_sky_noise_is_that_of_the_tiles_as_the_survey_sees_them(bundle: Bundle, added: Added) -> None:
    flux = np.concatenate([_noise(4, 0.03), _noise(3, 2.0)])
    tiles = [*_tiles(4), Tile(7, 4, noise=2.0), Tile(7, 5, seeing=2.0), walk(Tile(7, 6), 8, 3)[1]]
    measure([Pass(flux, bundle, tiles)])
    assert added("skygen_sample_sky_noise_nmgy_count", **R64, band="r") == 1
    assert added("skygen_sample_sky_noise_nmgy_sum", **R64, band="r") == pytest.approx(0.03, rel=0.02)


def test_one_tile_asked_for_again_and_again_is_no_collapse(bundle: Bundle, added: Added) -> None:
    measure([Pass(_noise(2, 0.03), bundle, _tiles(2))])  # the series is there
    measure([Pass(np.repeat(_noise(1, 0.03), 8, axis=0), bundle, [Tile(7)] * 8)])
    measure([Pass(_noise(1, 0.03), bundle, [Tile(7)])] * 8)
    assert added("skygen_sample_diversity_count", **R64) == 1


def test_tiles_that_are_no_numbers_leave_the_means_alone(bundle: Bundle, added: Added) -> None:
    flux = _noise(4, 0.03)
    flux[2, 0, 0, 0] = np.nan
    measure([Pass(flux, bundle, _tiles(4))])
    assert added("skygen_sample_sky_noise_nmgy_sum", **R64, band="r") == pytest.approx(0.03, rel=0.02)
    assert math.isfinite(added("skygen_sample_diversity_sum", **R64))
    measure([Pass(np.full_like(flux, np.nan), bundle, _tiles(4))])
    assert added("skygen_sample_sky_noise_nmgy_count", **R64, band="r") == 1


def test_diversity_of_two_even_tiles_is_their_distance_in_the_stretch() -> None:
    flux = np.zeros((2, 1, 64, 64), dtype=np.float32)
    flux[1] = 5.0
    expected = float(STRETCH.stretch(np.array([5.0]))[0]) * math.sqrt(16 * 16)
    assert scene_diversity(flux, np.zeros((2, 1))) == pytest.approx(expected, rel=1e-5)


def test_one_scene_under_fresh_noise_is_a_collapse() -> None:
    flux = _noise(8, 0.03)
    flux[:, :, 30:34, 30:34] += 3.0
    assert scene_diversity(flux, sky_noise(flux)) < 0.05


def test_noise_does_not_change_the_diversity_of_scenes() -> None:
    scenes = np.zeros((8, 1, 64, 64), dtype=np.float32)
    for row, x, y in zip(range(8), range(4, 60, 7), range(50, 2, -6), strict=True):
        scenes[row, 0, y : y + 8, x : x + 8] = 1 + row
    clean = scene_diversity(scenes, np.zeros((8, 1)))
    noisy = scenes + _noise(8, 0.03)
    assert scene_diversity(noisy, sky_noise(noisy)) == pytest.approx(clean, rel=0.03)


def test_a_worker_tells_what_it_serves(watch: Watch, bundle: Bundle, added: Added) -> None:
    version, canary = bundle.sha256[:12], quality.canary(bundle)[:12]
    told = {(name, *labels) for name, *labels in _series() if str(name).endswith("_info")}
    info = {**R64, "champion": "true", "version": version, "data_hash": "0123456789ab", "engine": bundle.engine}
    assert ("skygen_model_info", *info.items()) in told
    info = {**R64, "version": version, "engine": bundle.engine, "sha256": canary}
    assert ("skygen_canary_info", *info.items()) in told
    for form in ("png", "npy", "fits", "json"):
        assert added("skygen_tiles_total", **R64, format=form) == 0
    assert added("skygen_canary_mismatches_total", **R64) == 0


def test_starting_counts_the_worker_and_looks_at_the_real_tiles(catalogue: Catalogue, added: Added) -> None:
    quality.start(catalogue).stop()
    assert added("skygen_worker_starts_total") == 1
    assert REGISTRY.get_sample_value("skygen_real_sky_noise_nmgy", {"tiles": "r64", "band": "r"}) == pytest.approx(
        0.03, rel=0.02
    )
    assert REGISTRY.get_sample_value("skygen_real_diversity", {"tiles": "r64"}) == pytest.approx(0, abs=0.05)


def test_a_look_measures_a_bundles_latest_tiles_once(catalogue: Catalogue, bundle: Bundle, added: Added) -> None:
    watch = Watch(catalogue)
    quality._latest.clear()
    for seed in range(3):
        tiles = [Tile(seed, index) for index in range(2)]
        observe(bundle.draw(tiles), bundle, tiles)
    watch.look()
    watch.look()
    assert added("skygen_sample_sky_noise_nmgy_count", **R64, band="r") == 1
    assert added("skygen_sample_diversity_count", **R64) == 1


def test_tiles_that_are_drawn_alone_are_compared_with_those_before_them(bundle: Bundle, added: Added) -> None:
    quality._latest.clear()
    for seed in range(50):
        observe(_noise(1, 0.03), bundle, [Tile(seed)])
    kept = quality._latest[bundle.sha256]
    assert [drawn.tiles[0].seed for drawn in kept] == list(range(42, 50))
    observe(_noise(8, 0.03), bundle, _tiles(8))
    assert len(kept) == 1


def test_the_memory_told_is_what_the_system_says() -> None:
    held = np.ones(2**25)  # 256 MiB, every page written
    quality.measure_memory()
    told = REGISTRY.get_sample_value("skygen_process_memory_bytes")
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    assert told == pytest.approx(int(status["VmRSS"].split()[0]) * 1024, rel=0.05)
    assert told > held.nbytes


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here")
def test_the_accelerators_memory_told_grows_with_what_is_put_there() -> None:
    held = torch.ones(2**26, device="cuda")
    quality.measure_memory()
    used, total = (
        REGISTRY.get_sample_value("skygen_device_memory_bytes", {"device": f"cuda:{held.get_device()}", "kind": kind})
        for kind in ("used", "total")
    )
    assert used is not None
    assert total is not None
    assert held.nbytes < used < total


def test_a_canary_is_a_bundles_own(bundle: Bundle, tmp_path: Path, write_bundle: Callable[..., object]) -> None:
    write_bundle(tmp_path, recipe="scene", seed=1)
    assert quality.canary(bundle) == quality.canary(bundle)
    assert quality.canary(Bundle.load(tmp_path)) != quality.canary(bundle)


def test_bits_that_change_are_counted_and_logged(
    bundle: Bundle, tmp_path: Path, write_bundle: Callable[..., object], added: Added, caplog: pytest.LogCaptureFixture
) -> None:
    write_bundle(tmp_path, recipe="scene", seed=1)
    other, mutable = Bundle.load(tmp_path), Bundle.load(tmp_path)
    watch = Watch(Catalogue({"r64": {"scene": mutable}}, {"r64": "scene"}, {}))
    watch._drawn -= quality.CANARY_SECONDS
    watch.look()
    assert added("skygen_canary_mismatches_total", **R64) == 0
    mutable._engine = bundle._engine  # as a fault of the memory or another library would have it: other numbers
    with caplog.at_level(logging.ERROR, "serving.quality"):
        watch.look()  # not due
        assert added("skygen_canary_mismatches_total", **R64) == 0
        watch._drawn -= quality.CANARY_SECONDS
        watch.look()
    assert added("skygen_canary_mismatches_total", **R64) == 1
    assert f"has the hash {quality.canary(mutable)[:12]} and had {quality.canary(other)[:12]}" in caplog.text


def test_the_watch_outlives_what_goes_wrong_in_it(
    watch: Watch, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = Pass(np.zeros((2, 64), dtype=np.float32), bundle, _tiles(2))
    with caplog.at_level(logging.ERROR, "serving.quality"):
        another = Watch(Catalogue({"r64": {"scene": bundle}}, {"r64": "scene"}, {}))
        quality._latest["damaged"] = [damaged]
        another.start()
        while another.is_alive() and "it goes on" not in caplog.text:
            another.join(0.01)
    assert another.is_alive()
    another.stop()
    assert not another.is_alive()
