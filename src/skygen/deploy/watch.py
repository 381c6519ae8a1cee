"""A canary: a release that a share of the clients hears, judged by its own metrics and by the limits of the alerts."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from skygen.deploy.asking import draw_some
from skygen.deploy.clock import Deadline
from skygen.deploy.place import Catalogue
from skygen.deploy.services import Started

EVERY_SECONDS: Final = 5.0  # as the service measures what it drew
ENOUGH: Final = 3  # of its measurements for a mean: a single one is of few tiles
ALERTS: Final = "src/serving/monitoring/alerts.yml"  # of an unpacked Bento
_NUMBER: Final = re.compile(r"[<>]\s*(?:on \([\w, ]*\) group_left )?([0-9.]+)")
Labels = dict[str, str]
Samples = dict[str, list[tuple[Labels, float]]]


@dataclass(frozen=True)
class Limits:
    """What the alerts allow: a share of errors, of saturated pixels, sky noise against real, diversity against real."""

    errors: float
    saturated: float
    noise_off_squared: float
    diversity: float

    @classmethod
    def of(cls, alerts: Path) -> "Limits":
        """The numbers in the expressions of alerts.yml; raises `ValueError` where one is not found."""
        groups = YAML(typ="safe").load(alerts)["groups"]
        said = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"] if "alert" in rule}

        def limit(alert: str) -> float:
            if found := _NUMBER.findall(said.get(alert, "")):
                return float(found[-1])
            raise ValueError(f"{alerts}: no limit in the alert {alert}, by which a canary is judged")

        names = ("SkygenErrors", "SkygenPixelsSaturated", "SkygenSkyNoiseOff", "SkygenDiversityLow")
        return cls(*map(limit, names))


def watch(
    started: Started,
    client: httpx.Client,
    catalogue: Catalogue,
    limits: Limits,
    seconds: float,
    say: Callable[[str], None],
) -> None:
    """Watch a canary for `seconds`, and draw some tiles of it all the while.

    Raises `ValueError` with the reason as soon as it is worse than `limits` allow, does not answer, or has ended.
    """
    clock, seed = Deadline(seconds), 0
    while True:
        if started.process.poll() is not None:
            raise ValueError(f"its service ended with status {started.process.returncode}:\n{started.log_end()}")
        try:
            draw_some(client, catalogue, seed)
            answer = client.get("/metrics")
        except httpx.TransportError as error:
            raise ValueError(f"its service does not answer: {error}") from error
        if not answer.is_success:
            raise ValueError(f"its metrics cannot be read (status {answer.status_code}); see SKYGEN_METRICS")
        if reasons := list(judge(read(answer.text), limits)):
            raise ValueError("; ".join(reasons))
        if not clock.waits(min(EVERY_SECONDS, max(seconds / 2, 0.1))):
            for name in unjudged(read(answer.text)):
                say(f"{name}: too few tiles were measured to judge sky noise and diversity; watch it for longer")
            say("nothing is worse than the alerts allow")
            return
        seed += 1


def read(text: str) -> Samples:
    """The samples of metrics in Prometheus's text format, by name."""
    samples: Samples = defaultdict(list)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name].append((dict(sample.labels), float(sample.value)))
    return samples


def judge(samples: Samples, limits: Limits) -> Iterator[str]:
    """What is wrong with a service by its metrics: its answers, its passes, and what it draws."""
    requests = [found for found in samples["skygen_http_requests_total"] if found[0]["route"].startswith("/v1/")]
    errors = _sum([found for found in requests if found[0]["status"].startswith("5")])
    if errors > limits.errors * _sum(requests):
        yield f"{errors:.0f} of {_sum(requests):.0f} calls failed"
    for name, what in (
        ("skygen_failed_passes_total", "passes failed"),
        ("skygen_canary_mismatches_total", "fixed tiles have changed"),
    ):
        if count := _sum(samples[name]):
            yield f"{count:.0f} {what}"
    if any(value == 0 for _, value in samples["skygen_ready"]):
        yield "it is no longer ready"
    yield from _pixels(samples, limits)
    for labels, _ in samples["skygen_model_info"]:
        if labels["champion"] == "true":
            yield from _against_real(samples, limits, labels["tiles"], labels["recipe"])


def unjudged(samples: Samples) -> Iterator[str]:
    """The champions whose sky noise was measured too seldom to be judged."""
    for labels, _ in samples["skygen_model_info"]:
        tiles, recipe = labels["tiles"], labels["recipe"]
        if labels["champion"] == "true" and not _means(samples, "skygen_sample_sky_noise_nmgy", "band", tiles, recipe):
            yield f"{tiles}/{recipe}"


def _pixels(samples: Samples, limits: Limits) -> Iterator[str]:
    for labels, pixels in samples["skygen_sample_pixels_total"]:
        bad = {
            of["kind"]: value
            for of, value in samples["skygen_sample_bad_pixels_total"]
            if (of["tiles"], of["recipe"]) == (labels["tiles"], labels["recipe"])
        }
        name = f"{labels['tiles']}/{labels['recipe']}"
        if bad.get("nonfinite"):
            yield f"{name} draws pixels that are no numbers"
        if bad.get("saturated", 0) > limits.saturated * pixels:
            yield f"{bad['saturated'] / pixels:.2%} of the pixels of {name} are at the limit"


def _against_real(samples: Samples, limits: Limits, tiles: str, recipe: str) -> Iterator[str]:
    for band, noise in _means(samples, "skygen_sample_sky_noise_nmgy", "band", tiles, recipe).items():
        for labels, real in samples["skygen_real_sky_noise_nmgy"]:
            is_its = (labels["tiles"], labels["band"]) == (tiles, band)
            if is_its and (noise / real - 1) ** 2 > limits.noise_off_squared:
                yield f"the sky noise of {tiles}/{recipe} in {band} is {noise / real:.2g} times the real tiles'"
    for diversity in _means(samples, "skygen_sample_diversity", "recipe", tiles, recipe).values():
        for labels, real in samples["skygen_real_diversity"]:
            if labels["tiles"] == tiles and diversity < limits.diversity * real:
                yield f"the tiles of {tiles}/{recipe} are {diversity / real:.2g} times as far apart as real ones"


def _means(samples: Samples, name: str, by: str, tiles: str, recipe: str) -> dict[str, float]:
    """The mean of a summary by one of its labels, where there is enough for one."""

    def parts(suffix: str) -> dict[str, float]:
        of = [(labels[by], value) for labels, value in samples[f"{name}_{suffix}"]
              if (labels["tiles"], labels["recipe"]) == (tiles, recipe)]  # fmt: skip
        return dict(of)

    sums = parts("sum")
    return {key: sums[key] / count for key, count in parts("count").items() if count >= ENOUGH}


def _sum(found: list[tuple[Any, float]]) -> float:
    return sum(value for _, value in found)
