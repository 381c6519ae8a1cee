"""The service: routes, settings, metrics, and the headers of its FITS files."""

from collections.abc import Iterator
from io import BytesIO

from reference.json_schema import Schema, kind
from reference.markdown import code, table


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


def fits_keywords() -> str:
    """Every keyword of a tile's FITS header that is the project's own."""
    import numpy as np
    from astropy.io import fits

    from skygen.formats.fits import to_fits
    from skygen.formats.origin import Origin
    from skygen.formats.wcs import Place

    noise, place = np.full((1, 1), 0.03, dtype=np.float32), Place((7, 0), 0, 0, 64, 64)
    more = {"towards": 8, "shares": [0.5], "places": [place]}  # as of a walk through a process, which has them all
    origin = Origin("r64", "scene", "0" * 64, 7, "survey", "survey", "r", 0.396, noise, noise, 0, 0.02, 100.0, **more)
    with fits.open(BytesIO(to_fits(np.zeros((1, 1, 64, 64), dtype=np.float32), origin))) as hdus:
        header = hdus[1].header
    keys = list(header)
    own = keys[keys.index("EXTVER") + 1 : keys.index("RADESYS")]
    meanings = {"MODEL": "sha256 of the bundle"}
    return table(["keyword", "meaning"], [[code(key), header.comments[key] or meanings[key]] for key in own])


def truth_columns() -> str:
    """Every column of a truth in r, with its unit and meaning."""
    from skygen.formats.truth import described

    rows = [[code(name), unit, meaning] for name, (unit, meaning) in described(("r",)).items()]
    return table(["column", "unit", "meaning"], rows)


def truth_keywords() -> str:
    """Every keyword of a truth in r that its image does not have."""
    from skygen.formats.truth import of_truth

    return table(["keyword", "meaning"], [[code(key), meaning] for key, _, meaning in of_truth(("r",))])


def settings() -> str:
    """Every environment variable of the service."""
    from serving.settings import Settings

    schema = Settings.model_json_schema()
    rows = []
    for name, its in schema["properties"].items():
        default = its.get("default")
        shown = "none" if default in (None, [], ()) else code(default)
        words = (
            "words with commas between them"
            if its.get("type") == "array"
            else kind(its, schema).removesuffix(" or null")
        )
        rows.append([code(f"SKYGEN_{name.upper()}"), its.get("description", ""), words, shown])
    return table(["variable", "meaning", "values", "default"], rows)


def service_metrics() -> str:
    """Every number that the service counts for Prometheus."""
    from prometheus_client.metrics import MetricWrapperBase

    from serving.monitoring import metrics

    rows = []
    for its in vars(metrics).values():
        if isinstance(its, MetricWrapperBase):
            (described,) = its.describe()
            suffix = "_total" if described.type == "counter" else ""
            labels = ", ".join(code(label) for label in its._labelnames)
            rows.append([code(described.name + suffix), described.type, labels, described.documentation])
    reasons = ", ".join(code(reason) for reason in metrics.REASONS)
    return table(["metric", "type", "labels", "meaning"], rows) + f"\nThe label `reason` is one of {reasons}.\n"
