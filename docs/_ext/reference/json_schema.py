"""A JSON schema in words: what a reader may write."""

from typing import Any

Schema = dict[str, Any]
_NAMES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}


def kind(schema: Schema, document: Schema) -> str:
    """The legal values that a schema describes; `document` is where its references lead."""
    if "$ref" in schema:
        return kind(_referred(schema["$ref"], document), document)
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(kind(one, document) for one in schema[several]))
    if "allOf" in schema:
        return " and ".join(kind(one, document) for one in schema["allOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    return _typed(schema, document)


def _typed(schema: Schema, document: Schema) -> str:
    its = schema.get("type", "any")
    if its == "array":
        return "list of " + kind(schema.get("items", {}), document) + _length(schema)
    if its == "object":
        fields = ", ".join(f"`{name}`: {kind(one, document)}" for name, one in schema.get("properties", {}).items())
        return f"mapping of {fields}" if fields else "mapping"
    if its == "string" and schema.get("format") == "path":
        return "path"
    pattern = f" like `{schema['pattern']}`" if "pattern" in schema else ""
    return " ".join(filter(None, [_NAMES.get(its, its), _bounds(schema)])) + pattern


def _bounds(schema: Schema) -> str:
    if "minimum" in schema and schema.get("maximum", 2**62) < 2**62:
        return f"{number(schema['minimum'])} to {number(schema['maximum'])}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = ", ".join(f"{sign} {number(schema[name])}" for name, sign in signs.items() if name in schema)
    return found.replace("≤ 2⁶³", "< 2⁶³")


def number(value: float) -> str:
    """A bound as one writes it; a document in JSON has whole numbers as floats, which end at 2^53 exactly."""
    if value >= 2**62:
        return "2⁶³"
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _length(schema: Schema) -> str:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and least == most:
        return f", {least} of them"
    return f", at least {least}" if least else ""


def _referred(reference: str, document: Schema) -> Schema:
    found = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found
