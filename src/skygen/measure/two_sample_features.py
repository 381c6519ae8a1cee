"""`c2st.features`: the share of tiles that a classifier of features puts right, generated or real.

The classifier two-sample test of Lopez-Paz & Oquab 2017 (arXiv:1610.06545). 0.5 is a guess.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from threadpoolctl import threadpool_limits

from skygen.measure.metric import Given, Meaning, Measure, Metric, Statistic, Values, Weights, average

FOLDS = 5
_SEEDS = 2**32  # that scikit-learn takes
_TREES = {"max_iter": 60, "max_leaf_nodes": 8, "min_samples_leaf": 10, "early_stopping": False}
Answers = NDArray[np.float64]  # [n]: 1 for each tile that is put right, 0 for the others
_PENALTY = 0.03  # the logistic regression's C: strong, so that a hundred tiles with 64 values each do not overfit


def relate(fake: NDArray[np.floating], real: NDArray[np.floating], seed: int) -> Statistic:
    """The statistic of two sets of features, [N, D] and [M, D]: of `judged`, of at least 5 tiles each.

    The same `seed` gives the same values with any number of threads.
    """
    return judged("c2st.features", partial(_answers, seed=seed), fake, real)


def judged(
    key: str,
    answer: Callable[[NDArray[np.floating], NDArray[np.floating]], tuple[Answers, Answers]],
    fake: NDArray[np.floating],
    real: NDArray[np.floating],
) -> Statistic:
    """The mean of both sets' shares of right answers, as classifiers `answer` that never saw the tile they judge.

    They are trained once, on the tiles that count in the first row of the weights, since training takes seconds. Other
    rows weigh the answers of those tiles: all of them where a row counts none. Tiles beyond the sets' are left out.
    """

    def statistic(fake_weights: Weights, real_weights: Weights) -> dict[str, Values]:
        chosen = [
            np.flatnonzero(weights[0, : len(of_set)])
            for of_set, weights in ((fake, fake_weights), (real, real_weights))
        ]
        answers = answer(fake[chosen[0]], real[chosen[1]])
        of_chosen = (weights[:, those] for those, weights in zip(chosen, (fake_weights, real_weights), strict=True))
        ours, theirs = (_share(*pair) for pair in zip(answers, of_chosen, strict=True))
        return {key: (ours + theirs) / 2}

    return statistic


def _share(right: Answers, weights: Weights) -> Values:
    return average(right, np.where(weights.any(axis=1, keepdims=True), weights, weights[:1]))


def _answers(fake: NDArray[np.floating], real: NDArray[np.floating], seed: int) -> tuple[Answers, Answers]:
    if min(len(fake), len(real)) < FOLDS:
        raise ValueError(f"{len(fake)} and {len(real)} tiles; a classifier needs at least {FOLDS} of each set")
    features = np.concatenate([fake, real]).astype(np.float64)
    is_real = np.arange(len(features)) >= len(fake)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed % _SEEDS)
    with threadpool_limits(1):
        right = (cross_val_predict(_classifier(seed), features, is_real, cv=folds) == is_real).astype(np.float64)
    return right[: len(fake)], right[len(fake) :]


def _classifier(seed: int) -> VotingClassifier:
    """Two judges whose probabilities are averaged: one of levels and spreads, one of steps and combinations.

    A logistic regression of the features and their squares sees shifted means and changed spreads with the fewest
    tiles, boosted trees see the rest; together they are about as good as the better one, whatever differs.
    """
    levels_and_spreads = make_pipeline(
        FunctionTransformer(_with_squares), StandardScaler(), LogisticRegression(C=_PENALTY)
    )
    trees = HistGradientBoostingClassifier(random_state=seed % _SEEDS, **_TREES)
    return VotingClassifier([("levels and spreads", levels_and_spreads), ("trees", trees)], voting="soft")


def _with_squares(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([features, features**2], axis=1)


def _measures(given: Given) -> list[Measure]:
    if given.encode is None or given.seed is None:
        return []
    return [Measure(("c2st.features",), given.encode, partial(relate, seed=given.seed))]


METRIC = Metric(
    "perceptual",
    {
        "c2st.features": Meaning(
            0.5,
            "share of tiles that a classifier of features puts right, generated or real",
            "0.5 cannot be told apart, 1 is told apart every time; 2 (1 - c2st) is the share that passes.",
            "Lopez-Paz & Oquab 2017, arXiv:1610.06545",
            "square",
        ),
    },
    _measures,
)
