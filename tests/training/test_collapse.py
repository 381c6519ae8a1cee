import pytest

from skygen.training.collapse import LARGEST_LOSS, troubles


def history(scores=(), diversities=(), losses=(), scene=None):
    """A history of measurements; what is not given is healthy."""
    length = max(len(scores), len(diversities), len(losses), len(scene or ()))
    rows = [
        {
            "images_seen": 32.0 * (number + 1),
            "validation_score": 2.0,
            "validation_diversity": 1.0,
            "discriminator_loss": -60.0,
            "generator_loss": 10.0,
        }
        for number in range(length)
    ]
    given = {
        "validation_score": scores,
        "validation_diversity": diversities,
        "generator_loss": losses,
        "validation_scene_diversity": scene or (),
    }
    for key, values in given.items():
        for row, value in zip(rows, values, strict=False):
            row[key] = value
    return rows


def test_a_healthy_training_has_no_trouble():
    assert troubles([], 0.2) == {}
    assert troubles(history(scores=[9, 5, 3, 2, 3, 2]), 0.2) == {}


# Validation diversities and scores of real trainings: 15 measurements of `gan` and of `improved` at the laptop's scale.
@pytest.mark.parametrize(
    ("scores", "diversities"),
    [
        (
            [27.3, 17.7, 7.99, 7.67, 7.72, 6.38, 8.83, 7.42, 5.87, 7.13, 10.5, 6.11, 9.33, 8.57, 6.19],
            [0.321, 0.493, 0.693, 0.754, 0.674, 0.765, 0.667, 0.858, 0.978, 0.506, 0.294, 0.858, 0.331, 0.419, 0.827],
        ),
        (
            [18.6, 18.1, 9.73, 9.67, 8.56, 18.5, 5.94, 5.3, 4.1, 3.58, 3.42, 3.18, 4.37, 2.92, 4.57],
            [0.904, 1, 1.41, 3.71, 3.48, 1.52, 1.57, 1.03, 1.09, 1.28, 1.52, 0.769, 0.336, 0.621, 1.66],
        ),
        (
            [15.9, 9.02, 7.7, 6.59, 6.24, 3.27, 3.28, 3.02, 2.49, 3.63, 3.28, 2.61, 2.73, 2.57, 2.77],
            [1.43, 1.96, 1.79, 2.02, 2.16, 1.06, 0.899, 0.785, 0.937, 0.985, 0.69, 0.956, 1.17, 0.925, 1.13],
        ),
    ],
    ids=["gan gri128", "gan r64", "improved r64"],
)
def test_measured_oscillation_is_no_trouble_at_any_measurement(scores, diversities):
    rows = history(scores, diversities)

    assert not any(troubles(rows[:length], 0.2) for length in range(len(rows) + 1))


@pytest.mark.parametrize(
    ("diversities", "collapsed"),
    [
        ([1, 0.15, 0.14, 0.15], True),
        ([0.1, 0.1, 0.1], True),
        ([1, 0.15, 0.14, 0.2], False),  # the bound itself is no collapse
        ([0.1, 0.1, 0.3, 0.1, 0.1], False),
        ([0.1, 0.1], False),  # too short to say
    ],
)
def test_a_collapse_is_three_measurements_under_the_bound(diversities, collapsed):
    found = troubles(history(diversities=diversities), 0.2)

    assert set(found) == ({"collapsed"} if collapsed else set())


def test_clean_scenes_show_a_collapse_that_fresh_noise_hides():
    found = troubles(history(diversities=[0.4] * 3, scene=[0.05] * 3), 0.2)

    assert found == {"collapsed": "validation_scene_diversity is below 0.2: 0.05, 0.05, 0.05 after 32 to 96 images"}
    assert troubles(history(diversities=[0.1] * 3, scene=[0.5] * 3), 0.2) == {}


@pytest.mark.parametrize(
    ("scores", "diverged"),
    [
        ([2, 11, 12, 13], True),
        ([2, 11, 9, 13], False),
        ([30, 20, 2, 10, 10, 10], False),  # 5 times the best is the bound
        ([30, 20, 2, 10.1, 10.1, 10.1], True),
        ([2, 30, 30], False),
    ],
)
def test_a_divergence_is_three_measurements_far_from_the_best(scores, diverged):
    assert set(troubles(history(scores), 0.2)) == ({"diverged"} if diverged else set())


@pytest.mark.parametrize("sign", [1, -1])
def test_a_divergence_is_three_measurements_of_a_loss_out_of_all_bounds(sign):
    assert set(troubles(history(losses=[sign * 1.1 * LARGEST_LOSS] * 3), 0.2)) == {"diverged"}
    assert troubles(history(losses=[sign * 0.9 * LARGEST_LOSS] * 3), 0.2) == {}


def test_both_troubles_are_told():
    assert set(troubles(history([2, 20, 20, 20], [1, 0, 0, 0]), 0.2)) == {"collapsed", "diverged"}
