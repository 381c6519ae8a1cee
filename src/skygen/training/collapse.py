"""What goes wrong in a training that still runs, told from the history of its measurements alone.

One bad measurement is no trouble: the game oscillates. The measured trainings that went on to improve (both recipes of
the paper, both tile sets, 400 iterations) came down to a diversity of 0.29 and up to 2.2 times their best score, for a
measurement or two; those that had collapsed for good had 0.14 and 0.15.
"""

from collections.abc import Mapping, Sequence

COLLAPSED = "collapsed"
DIVERGED = "diverged"
TROUBLES = (COLLAPSED, DIVERGED)
PATIENCE = 3  # measurements in succession that must all be bad
WORSE = 5.0  # times the best score that is bad
LARGEST_LOSS = 1e4  # a hundred times what a healthy clipped critic reaches, the recipe of the largest losses


def troubles(history: Sequence[Mapping[str, float]], least_diversity: float) -> dict[str, str]:
    """A sentence under `collapsed`, and one under `diverged`, where the newest measurements are so.

    Collapsed: a diversity below `least_diversity`; of clean scenes where they are measured, since fresh noise hides a
    collapse. Diverged: a score above 5 times the best, or a loss beyond ±10,000. Each in 3 measurements in succession,
    so a shorter history has no trouble.
    """
    if len(history) < PATIENCE:
        return {}
    recent, found = history[-PATIENCE:], {}
    key = "validation_scene_diversity" if "validation_scene_diversity" in recent[-1] else "validation_diversity"
    if all(row[key] < least_diversity for row in recent):
        found[COLLAPSED] = f"{key} is below {least_diversity:g}: {_values(recent, key)}"
    best = min(row["validation_score"] for row in history)
    if all(row["validation_score"] > WORSE * best for row in recent):
        found[DIVERGED] = f"validation_score is above {WORSE:g} times its best, {best:.3g}: "
        found[DIVERGED] += _values(recent, "validation_score")
    for key in ("discriminator_loss", "generator_loss"):
        if all(abs(row[key]) > LARGEST_LOSS for row in recent):
            found[DIVERGED] = f"{key} is beyond ±{LARGEST_LOSS:g}: {_values(recent, key)}"
    return found


def _values(rows: Sequence[Mapping[str, float]], key: str) -> str:
    values = ", ".join(f"{row[key]:.3g}" for row in rows)
    return f"{values} after {rows[0]['images_seen']:.0f} to {rows[-1]['images_seen']:.0f} images"
