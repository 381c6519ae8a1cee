"""Reference pages from the code, made when the site is built, so that nothing in them is typed twice.

A line `<!-- from the code: NAME -->` of a page becomes what the function NAME of `SECTIONS` gives. The pages of the
library are written to reference/api, which git ignores, and filled by autodoc.
"""

import re
from collections.abc import Callable, Mapping

from sphinx.application import Sphinx

from reference import commands, library, parameters, project, service

_MARK = re.compile(r"^<!-- from the code: ([a-z_]+) -->$", re.MULTILINE)
SECTIONS: Mapping[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        *(service.routes, service.errors, service.fits_keywords, service.settings, service.service_metrics),
        *(service.truth_columns, service.truth_keywords),
        *(commands.commands, commands.make_targets),
        *(parameters.parameters, parameters.scales, parameters.recipes, parameters.experiments),
        *(project.tile_metrics, project.stages, project.layers, project.source_files, project.alerts, project.licences),
    )
}


def fill(app: Sphinx, name: str, source: list[str]) -> None:
    """Put the sections into a page that Sphinx has read."""
    del app, name
    source[0] = _MARK.sub(lambda found: SECTIONS[found[1]](), source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx's way in."""
    app.connect("builder-inited", library.write_api)
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", library.plain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
