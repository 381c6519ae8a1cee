"""What is watched of the tiles that are served: planted flaws are found, and a client's own choices are no flaws."""

import logging
import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from prometheus_client import REGISTRY

from serving.monitoring import quality
from serving.monitoring.quality import Pass, measure, record, scene_diversity
from skygen.bundle.bundle import Bundle
from skygen.bundle.tile import Tile, walk
from skygen.measure.pixels import STRETCH
from skygen.sky.noise import sky_noise
from tests.serving.samples import R64, Added, noise_tiles, tiles_of_seed


def test_pixels_are_counted_and_none_of_a_clean_pass_is_bad(bundle: Bundle, added: Added) -> None:
    assert record(noise_tiles(3, 0.03), bundle, tiles_of_seed(3)) == []
    assert added("skygen_sample_pixels_total", **R64) == 3 * 64 * 64


def test_bad_pixels_are_counted_by_kind_and_their_tiles_named(
    bundle: Bundle, added: Added, caplog: pytest.LogCaptureFixture
) -> None:
    flux = noise_tiles(4, 0.03)
    record(flux, bundle, tiles_of_seed(4))
    flux = flux.copy()
    flux[0, 0, 0, :5] = 2e6
    flux[1, 0, 3, 3] = np.nan
    flux[3, 0, :2, 0] = np.inf
    flux[3, 0, 5, 5] = -2e6
    quality._reported.clear()
    with caplog.at_level(logging.ERROR, "serving.monitoring.quality"):
        assert record(flux, bundle, tiles_of_seed(4)) == [1, 3]
        assert record(flux, bundle, tiles_of_seed(4)) == [1, 3]
    assert added("skygen_sample_bad_pixels_total", **R64, kind="nonfinite") == 6
    assert added("skygen_sample_bad_pixels_total", **R64, kind="saturated") == 12
    assert [record.getMessage() for record in caplog.records] == [
        "r64/scene drew pixels that are no numbers; such tiles are not sent"
    ]


def test_a_star_is_no_bad_pixel_of_a_process_and_is_at_the_limit_of_a_painter(
    bundle: Bundle, bundles: Path, added: Added
) -> None:
    flux, painter = noise_tiles(1, 0.03), Bundle.load(bundles / "r64/gan")
    flux[0, 0, 5, 5] = 100  # where the card of both has the limit of the stretch
    for of in (bundle, painter):
        assert record(flux, of, tiles_of_seed(1)) == []
        assert added("skygen_sample_bad_pixels_total", tiles="r64", recipe=of.card.recipe, kind="saturated") == (
            of is painter
        )


def test_threads_count_together(bundle: Bundle, added: Added) -> None:
    flux = noise_tiles(3, 0.03, size=8)
    flux[0, 0, 0, 0] = 2e6
    record(flux, bundle, tiles_of_seed(3))
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda _: record(flux, bundle, tiles_of_seed(3)), range(400))) == [[]] * 400
    assert added("skygen_sample_pixels_total", **R64) == 401 * 3 * 64
    assert added("skygen_sample_bad_pixels_total", **R64, kind="saturated") == 401
    assert 8 <= sum(len(drawn.flux) for drawn in quality._latest.pop(bundle.sha256)) < 8 + 3


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_kind_of_pixel_that_is_no_number_gets_through(bundle: Bundle, bad: float) -> None:
    flux = noise_tiles(2, 0.03)
    flux[1, 0, 63, 63] = bad
    assert record(flux, bundle, tiles_of_seed(2)) == [1]


def test_sky_noise_is_that_of_the_tiles_as_the_survey_sees_them(bundle: Bundle, added: Added) -> None:
    flux = np.concatenate([noise_tiles(4, 0.03), noise_tiles(3, 2.0)])
    tiles = [*tiles_of_seed(4), Tile(7, 4, noise=2.0), Tile(7, 5, seeing=2.0), walk(Tile(7, 6), 8, 3)[1]]
    measure([Pass(flux, bundle, tiles)])
    assert added("skygen_sample_sky_noise_nmgy_count", **R64, band="r") == 1
    assert added("skygen_sample_sky_noise_nmgy_sum", **R64, band="r") == pytest.approx(0.03, rel=0.02)


def test_one_tile_asked_for_again_and_again_is_no_collapse(bundle: Bundle, added: Added) -> None:
    measure([Pass(noise_tiles(2, 0.03), bundle, tiles_of_seed(2))])  # the series is there
    measure([Pass(np.repeat(noise_tiles(1, 0.03), 8, axis=0), bundle, [Tile(7)] * 8)])
    measure([Pass(noise_tiles(1, 0.03), bundle, [Tile(7)])] * 8)
    assert added("skygen_sample_diversity_count", **R64) == 1


def test_tiles_that_are_no_numbers_leave_the_means_alone(bundle: Bundle, added: Added) -> None:
    flux = noise_tiles(4, 0.03)
    flux[2, 0, 0, 0] = np.nan
    measure([Pass(flux, bundle, tiles_of_seed(4))])
    assert added("skygen_sample_sky_noise_nmgy_sum", **R64, band="r") == pytest.approx(0.03, rel=0.02)
    assert math.isfinite(added("skygen_sample_diversity_sum", **R64))
    measure([Pass(np.full_like(flux, np.nan), bundle, tiles_of_seed(4))])
    assert added("skygen_sample_sky_noise_nmgy_count", **R64, band="r") == 1


def test_diversity_of_two_even_tiles_is_their_distance_in_the_stretch() -> None:
    flux = np.zeros((2, 1, 64, 64), dtype=np.float32)
    flux[1] = 5.0
    expected = float(STRETCH.stretch(np.array([5.0]))[0]) * math.sqrt(16 * 16)
    assert scene_diversity(flux, np.zeros((2, 1))) == pytest.approx(expected, rel=1e-5)


def test_one_scene_under_fresh_noise_is_a_collapse() -> None:
    flux = noise_tiles(8, 0.03)
    flux[:, :, 30:34, 30:34] += 3.0
    assert scene_diversity(flux, sky_noise(flux)) < 0.05


def test_noise_does_not_change_the_diversity_of_scenes() -> None:
    scenes = np.zeros((8, 1, 64, 64), dtype=np.float32)
    for row, x, y in zip(range(8), range(4, 60, 7), range(50, 2, -6), strict=True):
        scenes[row, 0, y : y + 8, x : x + 8] = 1 + row
    clean = scene_diversity(scenes, np.zeros((8, 1)))
    noisy = scenes + noise_tiles(8, 0.03)
    assert scene_diversity(noisy, sky_noise(noisy)) == pytest.approx(clean, rel=0.03)


def test_tiles_that_are_drawn_alone_are_compared_with_those_before_them(bundle: Bundle, added: Added) -> None:
    quality._latest.clear()
    for seed in range(50):
        record(noise_tiles(1, 0.03), bundle, [Tile(seed)])
    kept = quality._latest[bundle.sha256]
    assert [drawn.tiles[0].seed for drawn in kept] == list(range(42, 50))
    record(noise_tiles(8, 0.03), bundle, tiles_of_seed(8))
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
