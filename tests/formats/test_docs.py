"""The snippet on truth in the documentation runs as it stands."""

import re
from pathlib import Path

import pytest

from skygen.formats.fits import to_fits
from tests.formats.planes import origin, tiles, truth

PAGE = Path(__file__).parents[2] / "docs/how-to/fits.md"


def test_the_snippet_on_truth_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = truth()
    given.rows["snr_r"] *= 20
    (tmp_path / "tiles.fits").write_bytes(to_fits(tiles(1, "gri"), origin("gri", [(128, 64)]), [given]))
    monkeypatch.chdir(tmp_path)
    (snippet,) = re.findall(
        r"^<!-- tested: tests/formats/test_docs.py -->\n```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S
    )
    found: dict[str, object] = {}
    exec(snippet, found)  # noqa: S102
    assert len(found["bright"]) > 2
    assert found["light"] == pytest.approx(given.rows["flux_inside_r_nmgy"].sum() + given.left_out_nmgy[1])
