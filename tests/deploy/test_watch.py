"""What a canary is judged by: the limits of the shipped alerts, and a service's metrics."""

from pathlib import Path

import pytest

from skygen.deploy.watch import ALERTS, ENOUGH, Limits, judge, read, unjudged

SHIPPED = Path(__file__).parents[2] / ALERTS.removeprefix("src/")
LIMITS = Limits(errors=0.01, saturated=0.001, noise_off_squared=0.25, diversity=0.3)
GOOD = """
# TYPE skygen_http_requests counter
skygen_http_requests_total{route="/v1/generate",method="POST",status="200"} 990
skygen_http_requests_total{route="/v1/generate",method="POST",status="500"} 5
skygen_http_requests_total{route="/readyz",method="GET",status="503"} 500
skygen_failed_passes_total{tiles="r64",recipe="gan",kind="request"} 0
skygen_canary_mismatches_total{tiles="r64",recipe="gan"} 0
skygen_ready 1
skygen_model_info{tiles="r64",recipe="gan",champion="true",version="a",data_hash="b",engine="onnx"} 1
skygen_model_info{tiles="r64",recipe="improved",champion="false",version="c",data_hash="b",engine="onnx"} 1
skygen_sample_pixels_total{tiles="r64",recipe="gan"} 100000
skygen_sample_bad_pixels_total{tiles="r64",recipe="gan",kind="saturated"} 90
skygen_sample_sky_noise_nmgy_sum{tiles="r64",recipe="gan",band="r"} 0.12
skygen_sample_sky_noise_nmgy_count{tiles="r64",recipe="gan",band="r"} 4
skygen_sample_sky_noise_nmgy_sum{tiles="r64",recipe="improved",band="r"} 9
skygen_sample_sky_noise_nmgy_count{tiles="r64",recipe="improved",band="r"} 1
skygen_real_sky_noise_nmgy{tiles="r64",band="r"} 0.025
skygen_sample_diversity_sum{tiles="r64",recipe="gan"} 4
skygen_sample_diversity_count{tiles="r64",recipe="gan"} 4
skygen_real_diversity{tiles="r64"} 3
"""


def test_the_limits_are_those_of_the_alerts() -> None:
    text = SHIPPED.read_text()
    assert Limits.of(SHIPPED) == LIMITS
    for said in ("> 0.01\n", "> 0.001\n", "^ 2 > 0.25\n", "0.3 * max by (tiles) (skygen_real_diversity)"):
        assert said in text


def test_an_alert_without_a_limit_is_said(tmp_path: Path) -> None:
    (tmp_path / "alerts.yml").write_text("groups: [{name: a, rules: [{alert: SkygenErrors, expr: up}]}]")
    with pytest.raises(ValueError, match="no limit in the alert SkygenErrors"):
        Limits.of(tmp_path / "alerts.yml")


def test_a_good_service_is_let_be_and_a_new_one_too() -> None:
    assert list(judge(read(GOOD), LIMITS)) == []
    assert list(judge(read(""), LIMITS)) == []


def test_the_first_few_measurements_take_no_release_back() -> None:
    few = GOOD.replace(
        'noise_nmgy_sum{tiles="r64",recipe="gan",band="r"} 0.12', 'noise_nmgy_sum{tiles="r64",recipe="gan",band="r"} 9'
    ).replace('diversity_sum{tiles="r64",recipe="gan"} 4', 'diversity_sum{tiles="r64",recipe="gan"} 0')
    few = few.replace('_count{tiles="r64",recipe="gan"', '_count{number="",tiles="r64",recipe="gan"')
    seldom = [line[: line.rindex(" ")] + f" {ENOUGH - 1}" if "number" in line else line for line in few.splitlines()]
    assert list(judge(read("\n".join(seldom) + "\n"), LIMITS)) == []
    assert list(unjudged(read("\n".join(seldom) + "\n"))) == ["r64/gan"]
    assert len(list(judge(read(few), LIMITS))) == 2
    assert list(unjudged(read(few))) == []


@pytest.mark.parametrize(
    ("good", "bad", "sentence"),
    [
        ('status="500"} 5', 'status="503"} 11', "11 of 1001 calls failed"),
        ('kind="request"} 0', 'kind="request"} 2', "2 passes failed"),
        (
            '_mismatches_total{tiles="r64",recipe="gan"} 0',
            '_mismatches_total{tiles="r64",recipe="gan"} 1',
            "1 fixed tiles",
        ),
        ("skygen_ready 1", "skygen_ready 0", "it is no longer ready"),
        ('kind="saturated"} 90', 'kind="saturated"} 200', "0.20% of the pixels of r64/gan are at the limit"),
        ('kind="saturated"} 90', 'kind="nonfinite"} 1', "r64/gan draws pixels that are no numbers"),
        ('band="r"} 0.12', 'band="r"} 0.16', "the sky noise of r64/gan in r is 1.6 times the real tiles'"),
        ('band="r"} 0.12', 'band="r"} 0.04', "the sky noise of r64/gan in r is 0.4 times the real tiles'"),
        (
            'sum{tiles="r64",recipe="gan"} 4',
            'sum{tiles="r64",recipe="gan"} 3',
            "the tiles of r64/gan are 0.25 times as far",
        ),
    ],
)
def test_what_is_worse_than_the_alerts_allow_is_said(good: str, bad: str, sentence: str) -> None:
    assert GOOD.count(good) == 1
    (said,) = judge(read(GOOD.replace(good, bad)), LIMITS)
    assert said.startswith(sentence)
