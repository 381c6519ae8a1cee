"""reports/paper/NAME.md: what the cells of an experiment say together, for readers who have not seen the code."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skygen.experiments.claims import AGREES, INCOMPARABLE, UNDECIDED
from skygen.experiments.paired import MOST_SEEDS
from skygen.experiments.spec import STEADINESS
from skygen.report.tables import interval, markdown_table, number

_NONE = "–"  # noqa: RUF001
_READING = """\
`kernel` and `noise_correlation` (how much alike the noise of neighbouring pixels is) are distances, 0 for tiles as good
as real ones; `accuracy` and `sky_noise` (over that of real tiles) are 1 for these. `discriminator_accuracy` is what
code of the paper's time printed, and most likely what it calls accuracy: it says how the game stands, not how good
tiles are. In trouble are trainings that collapsed, diverged or were lost. Values are means over seeds with the 95 %
interval of the mean (Student). Arms are in our order, by `{ranked_by}` on the validation tiles.
"""
_CLAIMS = """\
A row sets the arm that the paper prefers beside another one, trained from the same seeds. Means are the first arm's and
the other's. The difference is that of their distances from perfect tiles, seed by seed: below 0 is the paper's side.
Where its 95 % interval lies wholly on that side the row agrees, wholly on the other it disagrees. Else it is undecided,
and as many seeds as it says would decide it in four of five cases, if the truth is what was measured. Effect is the
difference in units of its spread over seeds (Cohen's d). p is two-sided, by Student's paired t test, for `trouble` by
McNemar's exact test, and corrected for all rows by Holm's method: where it is above 0.05, a row agrees or disagrees by
itself, but not as one of so many. A lost training has no values, so a row with one cannot be compared but by `trouble`.
A claim of several rows agrees where each of them does.
"""
_STEADINESS = dict(
    zip(
        STEADINESS,
        (
            "`trouble` is the share of trainings in trouble",
            "`last_over_best` the last validation score over the best one, 1 where the last is the best",
            "`best_after` the images seen until the best one",
        ),
        strict=True,
    )
)


def page(content: Mapping[str, Any]) -> str:
    """The Markdown of a summary."""
    cells = content["cells"]
    length = "" if content["length"] == 1 else f", iterations × {content['length']:g}"  # noqa: RUF001
    lines = [
        f"# {content['title']}\n",
        f"Experiment `{content['experiment']}` ({', '.join(content['rows'])} of the paper's description), scale "
        f"`{content['scale']}`{length}; {cells['done']} of {cells['total']} cells done, on "
        f"{', '.join(content['devices']) or 'nothing yet'}.\n",
        *([verdicts(content["claims"])] if content["claims"] else []),
        "## What was measured\n",
        _READING.format(ranked_by=content["ranked_by"]),
        *(table(tiles, found, content["against"]) for tiles, found in content["sets"].items()),
    ]
    lines += [f"- {name} failed: {reason}" for name, reason in content["failed"].items()]
    return "\n".join(lines).rstrip() + "\n"


def verdicts(claims: Sequence[Mapping[str, Any]]) -> str:
    """The section on the paper's claims: a row a comparison, and one before them for a claim that has several."""
    steadiness = [_STEADINESS[claim["metric"]] for claim in claims if claim["metric"] in STEADINESS]
    rows = list[list[str]]()
    for claim in claims:
        by = f"`{claim['metric']}`" + (f", {claim['split']}" if claim["split"] else "")
        compared = [_compared(claim["better"], row) for row in claim["rows"]]
        if len(compared) == 1:
            rows.append([claim["text"], by, *compared[0]])
            continue
        agree = sum(row["verdict"] == AGREES for row in claim["rows"])
        blank = [""] * (len(compared[0]) - 1)
        rows += [[claim["text"], by, *blank, f"**{claim['verdict']}**: {agree} of {len(compared)} rows agree"]]
        rows += [["", "", *cells] for cells in compared]
    heads = ["claim", "by", "tile set", "arms", "seeds", "means", "difference", "effect", "p", "verdict"]
    lines = ["## The paper's claims\n", markdown_table(heads, rows, range(4, 9)), _CLAIMS]
    if steadiness:
        lines += [f"Of a training {', '.join(dict.fromkeys(steadiness))}; less is better.\n"]
    return "\n".join(lines)


def _compared(better: str, row: Mapping[str, Any]) -> list[str]:
    means, bounds = row["means"], row["interval"]
    difference = _NONE if row["difference"] is None else number(row["difference"], "+")
    return [
        f"`{row['set']}`",
        f"`{better}`, `{row['than']}`",
        str(len(row["seeds"])),
        f"{number(means[better])}, {number(means[row['than']])}" if means else _NONE,
        difference if bounds is None else f"{difference} {interval(bounds)}",
        _NONE if row["effect"] is None else number(row["effect"], "+"),
        _NONE if row["p_holm"] is None else number(row["p_holm"]),
        _verdict(row),
    ]


def _verdict(row: Mapping[str, Any]) -> str:
    """The verdict on a row, and what it lacks."""
    verdict, why = row["verdict"], ""
    if verdict == UNDECIDED:
        why = f"{row['seeds_needed'] or f'more than {MOST_SEEDS}'} seeds needed"
        why = "no difference" if row["difference"] == 0 else why
    elif verdict == INCOMPARABLE and row["lost"]:
        why = " and ".join(f"{len(seeds)} of `{arm}`" for arm, seeds in row["lost"].items()) + " lost"
    elif verdict == INCOMPARABLE:
        why = "one seed decides nothing" if row["seeds"] else "no value"
    return f"**{verdict}**" + (f": {why}" if why else "")


def table(tiles: str, found: Mapping[str, Any], against: str | None) -> str:
    """A tile set of a summary: our numbers beside the paper's, differences, orders compared, and what went wrong."""
    arms = found["arms"]
    shown = [key for key in found["correlation"] if any(key in arm["values"] for arm in arms.values())]
    titles = [key.replace(".", ", `") + "`" for key in shown]
    rows = [
        [
            f"`{name}`",
            f"{arm['iterations']} × {arm['batch']}",  # noqa: RUF001
            _NONE if arm["paper"] is None else f"{arm['paper']:.5g}",
            str(len(arm["seeds"])),
            str(len({*arm["lost"], *arm["troubles"]})),
            *(_cell(arm["values"].get(key)) for key in shown),
        ]
        for name, arm in arms.items()
    ]
    heads = ["arm", "iterations × batch", "paper", "seeds", "in trouble", *titles]  # noqa: RUF001
    lines = [f"### `{tiles}`\n", markdown_table(heads, rows, range(1, len(heads)))]
    differing = {name: arm for name, arm in arms.items() if arm["differences"]}
    if differing:
        rows = [
            [f"`{name}`", *(_cell(arm["differences"].get(key), "+") for key in shown)]
            for name, arm in differing.items()
        ]
        lines += [
            f"Less `{against}`, seed by seed:\n",
            markdown_table(["arm", *titles], rows, range(1, len(titles) + 1)),
        ]
    return "\n".join([*lines, *_notes(found, dict(zip(shown, titles, strict=True)))]) + "\n"


def _notes(found: Mapping[str, Any], titles: Mapping[str, str]) -> Iterator[str]:
    """The lines below the tables of a tile set."""
    both = {title: found["correlation"][key] for key, title in titles.items() if found["correlation"][key]}
    if both:
        each = (f"{title} {number(one['rho'])} (p = {number(one['p'])})" for title, one in both.items())
        arms = max(len(one["arms"]) for one in both.values())
        yield f"- Our order of {arms} arms and the paper's, Spearman's correlation: {', '.join(each)}"
    for name, arm in found["arms"].items():
        yield from (f"- `{name}`, seed {seed}, was lost: {reason}" for seed, reason in arm["lost"].items())
        for seed, troubles in arm["troubles"].items():
            yield from (
                f"- `{name}`, seed {seed}, {trouble} after {images:.0f} images" for trouble, images in troubles.items()
            )


def _cell(value: Mapping[str, Any] | None, sign: str = "") -> str:
    if value is None:
        return _NONE
    mean = number(value["mean"], sign)
    return mean if value["interval"] is None else f"{mean} {interval(value['interval'])}"
