"""The project itself: metrics of tiles, stages, import layers, source files."""

import ast
import re
import tomllib
from pathlib import Path

from reference.markdown import code, table

ROOT = Path(__file__).parents[3]


def tile_metrics() -> str:
    """Every metric by which tiles are compared: its value for perfect tiles, what it is and how to read it."""
    from skygen.measure.table import MEANINGS

    rows = [[code(name), f"{its.ideal:g}", its.caption, its.reading, its.source] for name, its in MEANINGS.items()]
    return table(["metric", "perfect", "what it is", "how to read it", "source"], rows)


def stages() -> str:
    """Every stage of dvc.yaml: its command and what it writes."""
    from ruamel.yaml import YAML

    found = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    rows = []
    for name, stage in found.items():
        written = [*stage.get("outs", ()), *stage.get("metrics", ()), *stage.get("plots", ())]
        outs = [_short(next(iter(out)) if isinstance(out, dict) else out) for out in written]
        script = _first_line(ROOT / stage["cmd"].split()[1])
        what = re.sub(r"^DVC stage \S+: |\s*Usage: .*", "", script)
        rows.append([code(name), what, code(_short(stage["cmd"])), ", ".join(map(code, outs))])
    return table(["stage", "what it does", "command", "writes"], rows)


def _short(text: str) -> str:
    return re.sub(r"\$\{item\.(\w+)\}", lambda found: found[1].upper(), text)


def layers() -> str:
    """The layers of imports, from the top down, and who alone may import what."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layered = [its["layers"] for its in linter["contracts"] if its["type"] == "layers"]
    found = ["```text\n" + "\n".join(lines) + "\n```" for lines in layered]
    rows = [
        [", ".join(map(code, its["protected_modules"])), ", ".join(map(code, its["allowed_importers"]))]
        for its in linter["contracts"]
        if its["type"] == "protected"
    ]
    return "\n\n".join([*found, table(["only imported by the modules on the right", "modules"], rows)])


def alerts() -> str:
    """Every alert: how loud it is, what it says, after how long, and what to do then."""
    from ruamel.yaml import YAML

    groups = YAML(typ="safe").load(ROOT / "serving/monitoring/alerts.yml")["groups"]
    rows = []
    for rule in (rule for group in groups for rule in group["rules"]):
        said = (_without_template(rule["annotations"][name]) for name in ("summary", "remedy"))
        rows.append([code(rule["alert"]), rule["labels"]["severity"], rule.get("for", "at once"), *said])
    return table(["alert", "severity", "after", "says", "what to do"], rows)


def _without_template(text: str) -> str:
    """An annotation with the names of its labels in capitals in the place of their values."""
    named = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: found[1].upper(), text)
    return re.sub(r"\{\{.*?\}\}", "N", named)


def source_files() -> str:
    """Every source file with the first sentence of its docstring."""
    found = []
    for folder in ("src/skygen", "pipelines", "serving", "benchmarks"):
        by_folder: dict[Path, list[list[str]]] = {}
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name != "__init__.py":
                by_folder.setdefault(path.parent, []).append([code(path.name), _first_line(path)])
        for parent, rows in by_folder.items():
            found += [f"## `{parent.relative_to(ROOT)}/`", table(["file", "what it holds"], rows)]
    return "\n\n".join(found)


def _first_line(path: Path) -> str:
    """The first paragraph of a file's docstring."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.split("\n\n")[0]


def licences() -> str:
    """Every part of the images under a copyleft licence, as its own metadata name it."""
    from tools.licences import copyleft, images

    held = images()
    rows = [
        [code(name), its, ", ".join(code(image) for image in held if name in held[image])]
        for name, its in copyleft(set().union(*held.values())).items()
    ]
    return table(["part", "licence", "images"], rows)
