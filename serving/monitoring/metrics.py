"""Every number that the service counts, by Prometheus's conventions, right over several workers.

Workers share a folder (command.py), where prometheus_client keeps its values in files a process and adds them up at a
scrape; so every gauge says how, and `Info`, which that mode lacks, is a gauge of 1.
Labels take few values: tile sets, recipes and bands of loaded bundles, routes' templates, and words written here.
"""

import os
import re
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, Summary, multiprocess

from serving import command

command.follow()  # before anything is counted
REASONS: Final = (
    *("queue", "deadline", "disconnected", "auth", "media_type"),
    *("bad_http", "head", "slow_head", "body", "slow_body", "slow_reader"),
)

_FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_SLOW = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REQUESTS = Counter("skygen_http_requests_total", "Answered requests.", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "skygen_http_request_seconds",
    "Time from a request's headers to the last byte handed over.",
    ["route"],
    buckets=_SLOW,
)
IN_FLIGHT = Gauge("skygen_http_requests_in_flight", "Requests being answered.", multiprocess_mode="livesum")
REJECTED = Counter("skygen_rejected_total", "Requests refused or given up, by reason.", ["reason"])

TILES = Counter("skygen_tiles_total", "Tiles sent.", ["tiles", "recipe", "format"])
SKY_PIXELS = Counter(
    "skygen_sky_pixels_total", "Pixels of rectangles of a sky sent, all bands.", ["tiles", "recipe", "format"]
)
CATALOGUE_ROWS = Counter("skygen_catalogue_rows_total", "Objects told of.", ["tiles", "recipe", "format"])
QUEUE_SECONDS = Histogram(
    "skygen_queue_seconds", "Time that a request's tiles wait for their pass.", ["tiles"], buckets=_SLOW
)
INFERENCE_SECONDS = Histogram(
    "skygen_inference_seconds", "Time to draw a pass of tiles.", ["tiles", "recipe"], buckets=_SLOW
)
ENCODING_SECONDS = Histogram(
    "skygen_encoding_seconds", "Time to encode a request's tiles.", ["tiles", "format"], buckets=_FAST
)
PASS_TILES = Histogram("skygen_pass_tiles", "Tiles drawn together in a pass.", ["tiles"], buckets=range(1, 9))
QUEUED_TILES = Gauge("skygen_queued_tiles", "Tiles waiting for a pass.", multiprocess_mode="livesum")

MODEL_INFO = Gauge(
    "skygen_model_info",
    "A loaded bundle, always 1: the first digits of its hash and of its data's.",
    ["tiles", "recipe", "champion", "version", "data_hash", "engine"],
    multiprocess_mode="livemax",
)
BUILD_INFO = Gauge(
    "skygen_build_info",
    "What the service is made of, always 1.",
    ["version", "commit", "python", "torch", "bentoml"],
    multiprocess_mode="livemax",
)
START_TIME = Gauge(
    "skygen_start_time_seconds",
    "When the service was started, in seconds since 1970; workers that are replaced do not change it.",
    multiprocess_mode="livemin",
)
QUEUE_LIMIT = Gauge(
    "skygen_queue_limit_tiles", "Most tiles that may wait, in the queues of all workers.", multiprocess_mode="livesum"
)
TIMEOUT = Gauge("skygen_timeout_seconds", "Seconds that an answer may take.", multiprocess_mode="livemin")
READY = Gauge("skygen_ready", "Whether every worker can draw: 0 where passes of one fail.", multiprocess_mode="livemin")
FAILED_PASSES = Counter(
    "skygen_failed_passes_total",
    "Passes that could not be drawn, of requests and of canaries.",
    ["tiles", "recipe", "kind"],
)
STALE_KEYS = Gauge(
    "skygen_keys_stale",
    "1 where the file of API keys can no longer be read, so that the keys read last are in force.",
    multiprocess_mode="livemax",
)
WORKER_STARTS = Counter("skygen_worker_starts_total", "Workers started, first ones and replacements.")
PROCESS_MEMORY = Gauge(
    "skygen_process_memory_bytes", "Memory that the workers' processes hold.", multiprocess_mode="livesum"
)
DEVICE_MEMORY = Gauge(
    "skygen_device_memory_bytes",
    "Memory of the accelerator: in use by whatever process, and in all.",
    ["device", "kind"],
    multiprocess_mode="livemax",
)

SAMPLE_PIXELS = Counter("skygen_sample_pixels_total", "Pixels drawn.", ["tiles", "recipe"])
SAMPLE_BAD_PIXELS = Counter(
    "skygen_sample_bad_pixels_total",
    "Pixels drawn that are no number, or at the limit of the recipe's stretch.",
    ["tiles", "recipe", "kind"],
)
SAMPLE_SKY_NOISE = Summary(
    "skygen_sample_sky_noise_nmgy",
    "Noise of the sky in sampled tiles, where the survey's was asked for.",
    ["tiles", "recipe", "band"],
)
SAMPLE_DIVERSITY = Summary(
    "skygen_sample_diversity",
    "Median distance between the tiles of a sampled pass, without their noise; 0 where one scene repeats.",
    ["tiles", "recipe"],
)
REAL_SKY_NOISE = Gauge(
    "skygen_real_sky_noise_nmgy",
    "Noise of the sky in the packaged real tiles.",
    ["tiles", "band"],
    multiprocess_mode="livemax",
)
REAL_DIVERSITY = Gauge(
    "skygen_real_diversity",
    "Median distance between the packaged real tiles, measured as skygen_sample_diversity.",
    ["tiles"],
    multiprocess_mode="livemax",
)
CANARY_INFO = Gauge(
    "skygen_canary_info",
    "The first digits of the hash of a bundle's canary tile when its worker started, always 1.",
    ["tiles", "recipe", "version", "engine", "sha256"],
    multiprocess_mode="livemax",
)
CANARY_MISMATCHES = Counter(
    "skygen_canary_mismatches_total", "Canary tiles that differed from the worker's first.", ["tiles", "recipe"]
)

for _reason in REASONS:
    REJECTED.labels(_reason)  # a series that begins at 0 has a rate from its first event on


def folder() -> str | None:
    """Where the workers of a command keep what they count; None where this process counts alone."""
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR")


def forget_dead_workers() -> None:
    """Take the gauges of processes that ended out of the sums; their counters stay, since what they counted happened.

    A process of another machine or container that writes to the same folder would look dead: each command has its own.
    """
    shared = folder()
    for file in Path(shared).glob("gauge_live*_*.db") if shared else ():
        found = re.fullmatch(r"gauge_live[a-z]+_(\d+)\.db", file.name)
        if found and not _lives(int(found[1])):
            multiprocess.mark_process_dead(int(found[1]))  # type: ignore[no-untyped-call]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
