"""Verdicts on claims, from cells that are given."""

import json

import pytest

from skygen.experiments.cells import Cell
from skygen.experiments.claims import judge
from skygen.experiments.page import verdicts
from skygen.experiments.spec import Again, Arm, Claim, Experiment, Spec

LOST = {"lost": "not finite: losses"}


def result(value, metric="kernel", **changes):
    """A result in which one metric has a value on the test tiles, and another on the validation tiles."""
    group, _, name = metric.rpartition(".")
    section = {name: {"value": value}}
    found = {"validation": {"kernel": {"value": 7.0}}, "test": {group: section} if group else section}
    return {"lost": None, "troubles": {}, "score": {"best": 2.0, "last": 3.0, "best_after": 640.0}, **found, **changes}


@pytest.fixture
def judged(params, recipes):
    """A function: what claims become, from lists of results of arms `a`, `b`, … by seed."""

    def make(*claims, complete=True, again=None, sets=("r64",), **results):
        arms = {name: Arm(name, "gan", recipes["gan"], {}, {}) for name in results}
        most = max(len(found) for found in results.values()) if again is None else 1
        spec = Spec(
            title="Which?",
            rows=["P8"],
            sets={tiles: list(range(most)) for tiles in sets},
            recipes=["gan"],
            again=again,
            claims=[{"text": "a is better", "better": "a", **claim} for claim in claims],
        )
        done = {
            Cell(name, tiles, seed, None): one
            for name, found in results.items()
            for tiles in sets
            for seed, one in enumerate(found)
            if one is not None
        }
        found = judge(Experiment("mine", spec, arms, params), done, complete)
        json.dumps(found, allow_nan=False)
        return found

    return make


def kernels(*values):
    return [result(value) for value in values]


def test_the_interval_decides(judged):
    """Differences of -5 to -1, and of 1 to 5: ±1.963 about their means."""
    for better, than, verdict in ((0, 1, "agrees"), (1, 0, "disagrees")):
        arms = [kernels(0, 0, 0, 0, 0), kernels(1, 2, 3, 4, 5)]
        (claim,) = judged({}, a=arms[better], b=arms[than])
        (row,) = claim["rows"]
        assert (claim["verdict"], row["verdict"]) == (verdict, verdict)
        assert row["difference"] == (-3.0 if verdict == "agrees" else 3.0)
        assert sorted(abs(bound) for bound in row["interval"]) == pytest.approx([1.0368, 4.9632], abs=1e-4)
        assert row["p_holm"] == row["p"] == pytest.approx(0.0132, abs=5e-5)
    (claim,) = judged({}, a=kernels(1, 1, 1), b=kernels(1, 2, 0.5))
    assert (claim["verdict"], claim["rows"][0]["seeds_needed"] > 3) == ("undecided", True)


def test_better_is_nearer_to_perfect_whatever_the_metric(judged):
    """Of `sky_noise` perfect is 1, from both sides; of `accuracy` more is better; `sources.number` is nested."""
    for metric, ours, theirs in (
        ("sky_noise", (1.1, 0.9, 1.1), (0.7, 1.31, 1.32)),
        ("accuracy", (0.5, 0.6, 0.7), (0.2, 0.31, 0.42)),
        ("noise_correlation", (0.1, 0.1, 0.1), (0.3, 0.31, 0.32)),
        ("sources.number", (0.1, 0.1, 0.1), (0.3, 0.31, 0.32)),
    ):
        arms = {arm: [result(value, metric) for value in values] for arm, values in (("a", ours), ("b", theirs))}
        (claim,) = judged({"metric": metric}, **arms)
        assert (claim["metric"], claim["split"], claim["verdict"]) == (metric, "test", "agrees")
    (row,) = judged({"metric": "sky_noise", "split": "validation"}, **arms)[0]["rows"]
    assert (row["verdict"], row["seeds"]) == ("cannot be compared", [])


def test_best_of_several_agrees_only_beside_each_other_one(judged):
    a, near, far = kernels(1, 1, 1), kernels(1, 2, 0.5), kernels(2, 2.1, 2.2)
    (claim,) = judged({}, a=a, b=far, c=far)
    assert [row["than"] for row in claim["rows"]] == ["b", "c"]
    assert claim["verdict"] == "agrees"
    (claim,) = judged({}, a=a, b=far, c=near)
    assert ([row["verdict"] for row in claim["rows"]], claim["verdict"]) == (["agrees", "undecided"], "undecided")
    (claim,) = judged({"than": "b"}, a=a, b=far, c=near)
    assert claim["verdict"] == "agrees"


def test_one_better_arm_refutes_the_best_of_several_unless_it_may_be_chance(judged):
    a, near = kernels(3, 3.05, 3.1), kernels(3, 4, 2.5)
    plain, chance = kernels(1, 1.1, 1.2), kernels(1, 1.1, 2)
    (claim,) = judged({}, a=a, b=plain, c=near)
    assert claim["verdict"] == "disagrees"
    (claim,) = judged({}, a=a, b=chance, c=near)
    assert [row["verdict"] for row in claim["rows"]] == ["disagrees", "undecided"]
    assert claim["rows"][0]["p"] < 0.05 < claim["rows"][0]["p_holm"]
    assert claim["verdict"] == "undecided"


def test_holm_counts_all_rows_of_a_file(judged):
    claims = judged({"than": "b"}, {"than": "c"}, a=kernels(0, 0, 0), b=kernels(1, 2, 3), c=kernels(1, 1.1, 1.2))
    (first,), (second,) = (claim["rows"] for claim in claims)
    assert second["p_holm"] == pytest.approx(2 * second["p"])
    assert first["p_holm"] == pytest.approx(first["p"])


def test_lost_trainings_are_counted_and_cannot_be_compared(judged):
    arms = {"a": kernels(0, 0, 0), "b": [*kernels(1, 1.1), LOST]}
    metric, trouble = judged({}, {"metric": "trouble"}, **arms)
    (row,) = metric["rows"]
    assert (row["verdict"], row["lost"], row["seeds"]) == ("cannot be compared", {"b": [2]}, [0, 1])
    assert row["difference"] == pytest.approx(-1.05)
    assert row["p_holm"] is None
    (row,) = trouble["rows"]
    assert (row["lost"], row["means"], row["seeds"]) == ({}, {"a": 0.0, "b": pytest.approx(1 / 3, rel=1e-5)}, [0, 1, 2])


def test_a_single_seed_decides_nothing(judged):
    (claim,) = judged({}, a=kernels(0.1), b=kernels(0.3))
    (row,) = claim["rows"]
    assert (row["verdict"], row["difference"], row["interval"]) == ("cannot be compared", -0.2, None)
    assert "**cannot be compared**: one seed decides nothing" in verdicts([claim])


def test_nothing_is_said_before_all_seeds_are_trained(judged):
    ours, theirs = kernels(0, 0, 0, 0), [*kernels(1, 1.1, 1.2), None]
    (claim,) = judged({}, a=ours, b=theirs)
    assert claim["verdict"] == "not all trained yet"
    again = Again(best=2, seeds=[0, 1, 2])
    for complete, verdict in ((False, "not all trained yet"), (True, "agrees")):
        (claim,) = judged({}, a=ours, b=theirs, again=again, complete=complete)
        assert claim["verdict"] == verdict


def test_trouble_is_what_collapsed_diverged_or_was_lost(judged):
    bad = result(1.0, troubles={"diverged": 640.0})
    (claim,) = judged({"metric": "trouble"}, a=kernels(1, 1, 1, 1, 1, 1), b=[bad, bad, bad, LOST, LOST, bad])
    (row,) = claim["rows"]
    assert (claim["split"], row["verdict"], row["p"]) == (None, "agrees", 0.03125)
    assert row["means"] == {"a": 0.0, "b": 1.0}
    (claim,) = judged({"metric": "trouble"}, a=kernels(1, 1, 1, 1, 1), b=[bad, bad, bad, bad, bad])
    assert 0 < claim["rows"][0]["interval"][1] < 0.05
    assert (claim["verdict"], claim["rows"][0]["seeds_needed"]) == ("undecided", 6)


def test_steadiness_by_the_course_of_validation(judged):
    steady = [result(1.0, score={"best": 2.0, "last": last, "best_after": 100.0}) for last in (2.0, 2.1, 2.2)]
    last, after = judged({"metric": "last_over_best"}, {"metric": "best_after"}, a=steady, b=kernels(1, 1, 1))
    assert last["rows"][0]["means"] == {"a": 1.05, "b": 1.5}
    assert after["rows"][0]["difference"] == -540.0
    assert (last["verdict"], after["verdict"]) == ("agrees", "agrees")


def test_the_page_says_what_was_compared_and_what_came_out(judged):
    arms = {"a": kernels(0, 0, 0, 0, 0), "b": kernels(1, 2, 3, 4, 5), "c": [*kernels(1, 2, 3, 4), LOST]}
    text = verdicts(judged({"than": "b"}, {"than": ["b", "c"]}, **arms))
    assert (
        "| a is better | `kernel`, test | `r64` | `a`, `b` | 5 | 0, 3 | -3 [-4.96,\u00a0-1.04] | -1.9 | 0.0265 |"
        in text
    )
    assert "**cannot be compared**: 1 of 2 rows agree |" in text
    assert "**cannot be compared**: 1 of `c` lost |" in text
    assert "`best_after`" not in text
    assert "`best_after`" in verdicts(judged({"metric": "best_after"}, **arms))


def test_a_claim_is_of_one_arm_or_several():
    assert Claim(text="t", better="a", than="b").than == Claim(text="t", better="a", than=["b"]).than == ["b"]
