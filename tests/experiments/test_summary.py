"""What cells say together: ranks, correlations, differences by seed, the page."""

import math
import re
from itertools import permutations

import pytest
from scipy import stats

from skygen.experiments.cells import Cell, ranked
from skygen.experiments.page import page
from skygen.experiments.spec import Arm, Claim, Experiment, Spec
from skygen.experiments.summary import logged, spearman, summarise
from skygen.measure import student
from tests.conftest import ROOT


def result(kernel, **changes):
    sections = {
        split: {"kernel": {"value": kernel}, "accuracy": {"value": 1 - kernel}} for split in ("validation", "test")
    }
    return {"lost": None, "device": "cpu", "troubles": {}, "score": {"best": 1.0, "last": 2.0}, **sections, **changes}


LOST = {"lost": "not finite: losses", "device": "cpu"}


def test_spearman_is_scipys_and_its_p_value_is_exact():
    first, second = [1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 3.0, 2.0, 5.0, 4.0]
    rho, p = spearman(first, second)
    assert rho == pytest.approx(stats.spearmanr(first, second).statistic)
    every = [abs(stats.spearmanr(first, order).statistic) for order in permutations(second)]
    assert p == pytest.approx(sum(value >= rho - 1e-9 for value in every) / 120)


def test_of_n_values_in_the_same_order_the_p_value_is_two_of_all_orders():
    for count in (3, 5):
        assert spearman(range(count), range(count)) == pytest.approx((1.0, 2 / math.factorial(count)))
        assert spearman(range(count), range(count)[::-1]) == pytest.approx((-1.0, 2 / math.factorial(count)))


def test_constant_values_have_no_order():
    assert spearman([1.0, 2.0, 3.0], [4.0, 4.0, 4.0]) == (0.0, 1.0)


def test_arms_are_ranked_by_their_means_and_a_lost_one_is_last():
    found = {"a": [result(0.3), result(0.5)], "b": [result(0.1), LOST], "c": [result(0.2), result(0.4)], "d": [LOST]}
    assert ranked(found, "kernel") == ["c", "a", "b", "d"]
    assert ranked(found, "accuracy") == ["c", "a", "b", "d"]  # larger is better there


def test_of_a_distance_without_bias_what_lies_below_0_is_no_worse_than_what_lies_above():
    assert ranked({"a": [result(0.01)], "b": [result(-0.02)]}, "kernel") == ["b", "a"]


@pytest.fixture
def summary(params, recipes):
    """A function: the summary of results by arm and seed, on r64, beside the paper's numbers by arm."""

    def make(results, paper, against=None, claims=()):
        arms = {name: Arm(name, "gan", recipes["gan"], {}, {}) for name in results}
        seeds = sorted({seed for of_arm in results.values() for seed in of_arm})
        spec = Spec(
            title="Which?",
            rows=["P8"],
            sets={"r64": seeds},
            recipes=["gan"],
            paper={"r64": paper},
            against=against,
            claims=list(claims),
        )
        experiment = Experiment("mine", spec, arms, params)
        done = {
            Cell(name, "r64", seed, WithScale(params.chosen.training["r64"])): found
            for name, of_arm in results.items()
            for seed, found in of_arm.items()
        }
        return summarise(experiment, len(done), done, {})

    return make


class WithScale:
    """What a summary reads of a training."""

    def __init__(self, scale):
        self.scale = scale


def test_our_order_is_held_against_the_papers(summary):
    results = {"a": {0: result(0.1)}, "b": {0: result(0.2)}, "c": {0: result(0.3)}, "d": {0: LOST}}
    content = summary(results, {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6})["sets"]["r64"]
    assert list(content["arms"]) == ["a", "b", "c", "d"]
    assert content["correlation"]["test.kernel"] == {"rho": 1.0, "p": 0.333333, "arms": ["a", "b", "c"]}
    assert content["correlation"]["test.accuracy"]["rho"] == 1.0
    assert content["correlation"]["test.discriminator_accuracy"] is None
    reversed_ = summary(results, {"a": 0.1, "b": 0.2, "c": 0.3})["sets"]["r64"]
    assert reversed_["correlation"]["test.kernel"]["rho"] == -1.0


def test_differences_are_paired_by_seed(summary):
    results = {"a": {0: result(0.1), 1: result(0.5), 2: result(0.2)}, "b": {0: result(0.2), 1: result(0.7)}}
    arms = summary(results, {}, against="a")["sets"]["r64"]["arms"]
    assert arms["a"]["differences"] == {}
    found = arms["b"]["differences"]["test.kernel"]
    assert found["mean"] == pytest.approx(0.15)
    assert found["interval"] == pytest.approx(student.interval([0.1, 0.2]), rel=1e-5)


def test_the_page_shows_our_numbers_beside_the_papers_and_what_was_lost(summary, params):
    troubled = result(0.2, troubles={"collapsed": 640.0})
    results = {"a": {0: result(0.1), 1: result(0.3)}, "b": {0: troubled, 1: LOST}}
    text = page(summary(results, {"a": 0.9}, against="a"))
    scale = params.chosen.training["r64"]
    trained = f"{scale.iterations} × {scale.batch}"  # noqa: RUF001
    assert f"| `a` | {trained} | 0.9 | 2 | 0 | 0.2 [-1.07,\u00a01.47] " in text
    assert f"| `b` | {trained} | – | 2 | 2 | 0.2 |" in text  # noqa: RUF001
    assert "- `b`, seed 1, was lost: not finite: losses" in text
    assert "- `b`, seed 0, collapsed after 640 images" in text
    assert "Less `a`, seed by seed:" in text
    assert "The paper's claims" not in text


def test_noise_is_shown_beside_the_headlines(summary):
    noisy = result(0.2)
    noisy["test"] |= {"sky_noise": {"value": 1.4}, "noise_correlation": {"value": 0.15}}
    text = page(summary({"a": {0: noisy}}, {}))
    assert "| test, `noise_correlation` | test, `sky_noise` |" in text
    assert "| 0.15 | 1.4 |" in text


def test_verdicts_come_first_and_go_to_mlflow_as_numbers(summary):
    results = {"a": {0: result(0.1), 1: result(0.1)}, "b": {0: result(0.2), 1: result(0.20001)}}
    content = summary(results, {}, claims=[Claim(text="a wins", better="a")])
    (claim,) = content["claims"]
    assert claim["verdict"] == "agrees"
    text = page(content)
    assert text.index("| a wins |") < text.index("### `r64`")
    assert dict(logged(content))["claim/1/r64/b/difference"] == claim["rows"][0]["difference"]
    assert dict(logged(content))["claim/1/r64/b/p_holm"] == claim["rows"][0]["p_holm"]


def test_the_page_s_verdicts_are_those_of_the_tables():
    """Each interval of the table at the head of the results stands in a table that `skygen paper` wrote."""
    page = (ROOT / "docs/paper.md").read_text(encoding="utf-8")
    first, last = page.index("| | the paper claims"), page.index("The paper's numbers are its")
    shown = re.findall(r"[+−][\d.]+ \[−?[\d.]+, −?[\d.]+\]", page[first:last])  # noqa: RUF001
    tables = sorted((ROOT / "docs/experiments").glob("*.md"))
    written = "".join(path.read_text(encoding="utf-8") for path in tables).replace("\N{NO-BREAK SPACE}", " ")

    assert len(shown) > 15
    assert [of for of in shown if of.replace("−", "-") not in written] == []  # noqa: RUF001
