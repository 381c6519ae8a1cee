"""params.yaml: its keys, its scales and its recipes."""

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from reference import yaml_comments
from reference.json_schema import Schema, kind
from reference.markdown import code, table

ROOT = Path(__file__).parents[3]


def _params() -> tuple[Schema, dict[tuple[str, ...], yaml_comments.Entry]]:
    from skygen.params import Params

    return Params.model_json_schema(), yaml_comments.read(ROOT / "params.yaml")


def _legal(schema: Schema, path: tuple[str, ...]) -> Schema:
    """The part of a JSON schema that judges the value at `path`."""
    found = schema
    for key in path:
        its = _referred(schema, found)
        found = its.get("properties", {}).get(key) or its["additionalProperties"]
    return found


def _referred(schema: Schema, found: Schema) -> Schema:
    while "$ref" in found:
        found = schema["$defs"][found["$ref"].rsplit("/", 1)[-1]]
    return found


def _section(schema: Schema, path: tuple[str, ...]) -> str:
    """What a section of params.yaml is: the docstring of its class."""
    return _referred(schema, _legal(schema, path)).get("description", "")


def parameters() -> str:
    """Every key of params.yaml but the recipes' and the scales': value, what is legal, and the comment beside it."""
    schema, entries = _params()
    sections: dict[tuple[str, ...], list[list[str]]] = {}
    alike = [path for path in entries if len(path) == 2 and path[0] == "tiles" and not entries[path].value]
    for path, entry in entries.items():
        if path[0] in ("recipes", "scales") or not entry.value or path[:2] in alike[1:]:
            continue
        of_sets = {other[-1]: entries[(*other, *path[2:])].value for other in alike} if path[:2] in alike else {}
        row = [code(path[-1]), _values(entry.value, of_sets), kind(_legal(schema, path), schema), entry.comment]
        sections.setdefault(path[:-1], []).append(row)
    found = []
    for path, rows in sections.items():
        name = ".".join("SET" if path[:2] in alike and place == 1 else key for place, key in enumerate(path))
        found += [f"## `{name}`" if name else "## Top level", _section(schema, path) if path else ""]
        found.append(table(["key", "value in the file", "legal values", "meaning"], rows))
    return "\n\n".join(found)


def _values(value: str, of_sets: Mapping[str, str]) -> str:
    """The value of a key, or those of each tile set where they differ."""
    if len(set(of_sets.values())) < 2:
        return code(value)
    return ", ".join(f"{code(one)} ({name})" for name, one in of_sets.items())


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
    from skygen.gan.recipes import ConvolutionalRecipe, ProcessRecipe, Recipe

    _, entries = _params()
    names = [path[1] for path in entries if len(path) == 2 and path[0] == "recipes"]
    rows, prose = list[list[str]](), list[str]()
    for model in (Recipe, ConvolutionalRecipe, ProcessRecipe):
        schema = model.model_json_schema()
        for field, meaning in _attribute_docstrings(ROOT / "src/skygen/gan/recipes.py", model.__name__).items():
            values = [entries.get(("recipes", name, field)) for name in names]
            shown = [code(value.value) if value else "" for value in values]
            rows.append([code(field), *shown, kind(schema["properties"][field], schema)])
            prose.append(f"`{field}`\n: {meaning}")
    return "\n\n".join([table(["field", *names, "legal values"], rows), "## What the fields mean", *prose])


def experiments() -> str:
    """The experiments that there are, and every key of their files: what is legal, and what it means."""
    from skygen.experiments.spec import Again, Claim, Spec, read_experiments
    from skygen.params import load

    found = read_experiments(load(ROOT / "params.yaml"), ROOT / "experiments")
    rows = [
        [", ".join(map(code, (name, *one.spec.aliases))), ", ".join(one.spec.rows), one.spec.title, str(len(one.arms))]
        for name, one in found.items()
    ]
    keys = list[list[str]]()
    for prefix, model in (("", Spec), ("again.", Again), ("claims.", Claim)):
        schema = model.model_json_schema()
        for field, meaning in _attribute_docstrings(ROOT / "src/skygen/experiments/spec.py", model.__name__).items():
            keys.append([code(prefix + field), kind(schema["properties"][field], schema), meaning])
    return "\n\n".join(
        [
            table(["experiment", "rows", "question", "arms"], rows),
            "## The keys of a file",
            table(["key", "legal values", "meaning"], keys),
        ]
    )


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
