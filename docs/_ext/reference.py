"""Reference pages from the code, made when the site is built, so that nothing in them is typed twice.

A line `<!-- from the code: NAME -->` of a page becomes what the function NAME of `SECTIONS` gives. The pages of the
library are written to reference/api, which git ignores, and filled by autodoc.
"""

import ast
import inspect
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import yaml_comments
from json_schema import Schema, kind, number
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "src/skygen"
_MARK = re.compile(r"^<!-- from the code: ([a-z_]+) -->$", re.MULTILINE)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    """Text on one line of a table, with nothing in it that Markdown reads as HTML or emphasis outside of code."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    plain = [part if part.startswith("`") else re.sub(r"([<*\[])", r"\\\1", part) for part in parts]
    return "".join(plain).replace("|", r"\|")


def code(value: object) -> str:
    """A value as code, or nothing where there is none."""
    return "" if value in (None, "") else f"`{value}`"


# The service


def _openapi() -> Schema:
    from serving.app import build
    from serving.settings import Settings

    return build(Settings.model_construct()).openapi()


def routes() -> str:
    """Every route of the OpenAPI document: what it gives, what it takes and in which formats it answers."""
    document = _openapi()
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]["200"].get("content", {})
            found += [f"## {method.upper()} {path}", operation.get("description", "").strip()]
            if fields := [*_parameters(operation, document), *_body(operation, document)]:
                found.append(table(["field", "in", "values", "default", "meaning"], fields))
            found.append("Answers: " + ", ".join(code(name) for name in answers) + ".")
    return "\n\n".join(found)


def _parameters(operation: Schema, document: Schema) -> Iterator[list[str]]:
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        meaning = parameter.get("description") or schema.get("description", "")
        yield [
            code(parameter["name"]),
            parameter["in"],
            kind(schema, document),
            _default(schema, parameter.get("required", False)),
            meaning,
        ]


def _body(operation: Schema, document: Schema) -> Iterator[list[str]]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content["schema"]["$ref"].rsplit("/", 1)[-1]
        schema = document["components"]["schemas"][name]
        for field, its in schema["properties"].items():
            required = field in schema.get("required", ())
            yield [
                code(field),
                "body",
                kind(its, document),
                _default(its, required),
                its.get("description", ""),
            ]


def _default(schema: Schema, required: bool) -> str:
    return "must be given" if required else code(schema.get("default")) or "none"


def errors() -> str:
    """Every error of the OpenAPI document, by its status."""
    operations = [found for by_method in _openapi()["paths"].values() for found in by_method.values()]
    said = {status: its["description"] for op in operations for status, its in op["responses"].items() if status > "4"}
    return table(["status", "meaning"], [[code(status), said[status]] for status in sorted(said)])


def settings() -> str:
    """Every environment variable of the service."""
    from serving.settings import Settings

    schema = Settings.model_json_schema()
    rows = []
    for name, its in schema["properties"].items():
        default = its.get("default")
        shown = "none" if default in (None, [], ()) else code(default)
        words = "words with commas between them" if its.get("type") == "array" else kind(its, schema)
        rows.append([code(f"SKYGEN_{name.upper()}"), its.get("description", ""), words, shown])
    return table(["variable", "meaning", "values", "default"], rows)


def service_metrics() -> str:
    """Every number that the service counts for Prometheus."""
    from prometheus_client.metrics import MetricWrapperBase

    from serving import metrics

    rows = []
    for its in vars(metrics).values():
        if isinstance(its, MetricWrapperBase):
            (described,) = its.describe()
            suffix = "_total" if described.type == "counter" else ""
            labels = ", ".join(code(label) for label in its._labelnames)
            rows.append([code(described.name + suffix), described.type, labels, described.documentation])
    reasons = ", ".join(code(reason) for reason in metrics.REASONS)
    return table(["metric", "type", "labels", "meaning"], rows) + f"\nThe label `reason` is one of {reasons}.\n"


def fits_keywords() -> str:
    """Every keyword of a tile's FITS header that is the project's own."""
    import numpy as np
    from astropy.io import fits

    from skygen.formats.fits import to_fits
    from skygen.formats.origin import Origin

    noise = np.full((1, 1), 0.03, dtype=np.float32)
    ends = {"towards": 8, "shares": [0.5]}  # as of a walk, which has two keywords more
    origin = Origin("r64", "scene", "0" * 64, 7, "survey", "survey", "r", 0.396, noise, 0, 0.02, 100.0, **ends)
    with fits.open(BytesIO(to_fits(np.zeros((1, 1, 64, 64), dtype=np.float32), origin))) as hdus:
        header = hdus[1].header
    own = list(header)[list(header).index("EXTVER") + 1 :]
    meanings = {"MODEL": "sha256 of the bundle"}
    return table(["keyword", "meaning"], [[code(key), header.comments[key] or meanings[key]] for key in own])


# The command line and make


def commands() -> str:
    """The command `skygen` and its commands, as their own helps say it."""
    from skygen.cli import main

    top = click.Context(main, info_name="skygen")
    found = [_paragraphs(main.help)]
    for name, command in main.commands.items():
        inner = click.Context(command, info_name=name, parent=top)
        usage = command.get_usage(inner).removeprefix("Usage: ")
        found += [f"## skygen {name}", f"```text\n{usage}\n```", _paragraphs(command.help)]
        if options := [_option(option, inner) for option in command.params]:
            found.append(table(["option", "values", "default", "meaning"], options))
    return "\n\n".join(found)


def _paragraphs(text: str | None) -> str:
    return re.sub(r"([<*])", r"\\\1", inspect.cleandoc(text or ""))


def _option(option: click.Parameter, context: click.Context) -> list[str]:
    its = option.to_info_dict()
    default = option.get_default(context, call=False)
    shown = code(default) if isinstance(default, str | int | Path) else "none"
    values = ", ".join(map(code, its["type"]["choices"])) if its["type"].get("choices") else _range(its["type"])
    return [
        code(option.opts[0] if isinstance(option, click.Option) else option.human_readable_name.upper()),
        values,
        "must be given" if option.required else shown,
        getattr(option, "help", None) or "",
    ]


def _range(its: Mapping[str, Any]) -> str:
    bounds = [f"from {number(its['min'])}"] if its.get("min") is not None else []
    bounds += [f"to {number(its['max'])}" + " - 1" * (its["max"] > 2**62)] if its.get("max") is not None else []
    return " ".join([its["name"].removesuffix(" range").replace("|", " or "), *bounds])


def make_targets() -> str:
    """Every target of the Makefile with its comment."""
    found = re.findall(r"^([a-z-]+):.*?## (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return table(["command", "what it does"], [[code(f"make {name}"), what] for name, what in found])


# The parameters


def _params() -> tuple[Schema, dict[tuple[str, ...], yaml_comments.Entry]]:
    from skygen.params import Params

    return Params.model_json_schema(), yaml_comments.read(ROOT / "params.yaml")


def _legal(schema: Schema, path: tuple[str, ...]) -> Schema:
    """The part of a JSON schema that judges the value at `path`."""
    found = schema
    for key in path:
        while "$ref" in found:
            found = schema["$defs"][found["$ref"].rsplit("/", 1)[-1]]
        found = found.get("properties", {}).get(key) or found["additionalProperties"]
    return found


def _section(schema: Schema, path: tuple[str, ...]) -> str:
    """What a section of params.yaml is: the docstring of its class."""
    found = _legal(schema, path)
    while "$ref" in found:
        found = schema["$defs"][found["$ref"].rsplit("/", 1)[-1]]
    return found.get("description", "")


def parameters() -> str:
    """Every key of params.yaml but the recipes' and the scales': value, what is legal, and the comment beside it."""
    schema, entries = _params()
    sections: dict[tuple[str, ...], list[list[str]]] = {}
    alike = [path for path in entries if len(path) == 2 and path[0] == "tiles" and not entries[path].value]
    for path, entry in entries.items():
        if path[0] in ("recipes", "scales") or not entry.value or path[:2] in alike[1:]:
            continue
        values = [code(entry.value)]
        if path[:2] in alike:
            values = [f"{code(entries[(*other, *path[2:])].value)} ({other[-1]})" for other in alike]
            values = values[:1] if len({entries[(*other, *path[2:])].value for other in alike}) == 1 else values
            values = [values[0].rsplit(" (", 1)[0]] if len(values) == 1 else values
        row = [code(path[-1]), ", ".join(values), kind(_legal(schema, path), schema), entry.comment]
        sections.setdefault(path[:-1], []).append(row)
    found = []
    for path, rows in sections.items():
        name = ".".join("SET" if path[:2] in alike and place == 1 else key for place, key in enumerate(path))
        found += [f"## `{name}`" if name else "## Top level", _section(schema, path) if path else ""]
        found.append(table(["key", "value in the file", "legal values", "meaning"], rows))
    return "\n\n".join(found)


def scales() -> str:
    """Every key of the scales, with its value at each of them."""
    schema, entries = _params()
    names = [path[1] for path in entries if len(path) == 2 and path[0] == "scales"]
    flat = {path: value for path, value in _flat(entries) if path[0] == "scales"}
    keys = dict.fromkeys(path[2:] for path in flat)
    rows = [
        [
            code(".".join(key)),
            *(code(flat.get(("scales", name, *key))) for name in names),
            kind(_legal(schema, ("scales", names[0], *key)), schema),
        ]
        for key in keys
    ]
    return table(["key", *names, "legal values"], rows)


def _flat(entries: Mapping[tuple[str, ...], yaml_comments.Entry]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The values, with one-line mappings taken apart."""
    for path, entry in entries.items():
        if entry.value.startswith("{"):
            for key, value in re.findall(r"(\w+): ([^,}]+)", entry.value):
                yield (*path, key), value
        elif entry.value:
            yield path, entry.value


def recipes() -> str:
    """Every field of a recipe: legal values, its value in each row of params.yaml, and what it means."""
    from skygen.gan.recipes import Recipe

    schema, (_, entries) = Recipe.model_json_schema(), _params()
    names = [path[1] for path in entries if len(path) == 2 and path[0] == "recipes"]
    meanings = _attribute_docstrings(LIBRARY / "gan/recipes.py", "Recipe")
    rows = [
        [code(field), *(code(entries[("recipes", name, field)].value) for name in names), kind(its, schema)]
        for field, its in schema["properties"].items()
    ]
    prose = [f"`{field}`\n: {meanings[field]}" for field in schema["properties"]]
    return "\n\n".join([table(["field", *names, "legal values"], rows), "## What the fields mean", *prose])


def _attribute_docstrings(path: Path, name: str) -> dict[str, str]:
    """The strings below the annotated attributes of a class."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    return {
        first.target.id: " ".join(second.value.value.split())
        for first, second in pairwise(body)
        if isinstance(first, ast.AnnAssign)
        and isinstance(first.target, ast.Name)
        and isinstance(second, ast.Expr)
        and isinstance(second.value, ast.Constant)
        and isinstance(second.value.value, str)
    }


# Metrics, stages, code


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


SECTIONS: Mapping[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        *(routes, errors, fits_keywords, settings, service_metrics, commands, make_targets),
        *(parameters, scales, recipes, tile_metrics, stages, layers, source_files),
    )
}


def fill(app: Sphinx, name: str, source: list[str]) -> None:
    """Put the sections into a page that Sphinx has read."""
    del app, name
    source[0] = _MARK.sub(lambda found: SECTIONS[found[1]](), source[0])


def write_api(app: Sphinx) -> None:
    """Write a page of the library for each of its packages, and one for its single modules."""
    import_module("serving.app")
    folder = Path(app.srcdir) / "reference/api"
    folder.mkdir(exist_ok=True)
    packages = sorted(path.parent for path in LIBRARY.rglob("__init__.py"))
    written = set()
    for package in packages:
        modules = sorted(path for path in package.glob("*.py") if path.name != "__init__.py" or path.read_text())
        if modules:
            name = ".".join(package.relative_to(LIBRARY.parent).parts)
            page = folder / f"{name}.md"
            page.write_text("\n\n".join([f"# {name}", *map(_module, modules)]) + "\n", encoding="utf-8")
            written.add(page)
    for left in set(folder.glob("*.md")) - written:
        left.unlink()


def _module(path: Path) -> str:
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    import_module(name)  # now: autodoc rewrites annotations, and pydantic can then make no more models
    members = "\n   :no-members:" if parts[-1] == "__init__" else ""  # those of its modules
    return f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}{members}\n```"


def plain(app: Sphinx, what: str, name: str, its: object, options: object, lines: list[str]) -> None:
    """Make a docstring, which is plain text with `code` in it, into sound reStructuredText."""
    del app, what, name, its, options
    made: list[str] = []
    for paragraph in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        block = paragraph.split("\n")
        if all(line.startswith("    ") for line in block):
            made += ["::", "", *block, ""]
        elif any(re.match(r"\s", line) for line in block):
            made += ["::", "", *("    " + line for line in block), ""]
        else:
            made += [_escaped(line) for line in block] + [""]
    lines[:] = made


def _escaped(line: str) -> str:
    """A line with its `code` kept from what reStructuredText would read in or around it."""
    parts = re.split(r"(`[^`]+`)", line)
    return "".join(_role(part) if part[:1] == "`" and len(part) > 2 else _without_markup(part) for part in parts)


def _role(part: str) -> str:
    return "\\ :code:" + part.replace("\\", r"\\") + "\\ "


def _without_markup(text: str) -> str:
    return re.sub(r"([\\*_|`])", r"\\\1", text)


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx's way in."""
    app.connect("builder-inited", write_api)
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", plain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
