"""How the documentation site is built, by `make docs`. Nothing is fetched for it, nor by a reader's browser."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent / "_ext")]  # serving/ is a folder of the project, not a package

project = "skygen"
author = "the maintainers of skygen"
copyright = f"2026, {author}"  # Sphinx's own name for it
release = version_of("skygen")

extensions = ["myst_parser", "sphinx.ext.autodoc", "reference"]
exclude_patterns = ["_build", "_ext"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# A code block of curl has comments and pipes that no lexer of Python knows; highlighting fails in silence.
suppress_warnings = ["misc.highlighting_failure"]

smartquotes_action = "qe"  # and no dashes: --option stays as it is
default_role = "code"  # docstrings say `name`
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "exclude-members": "model_config"}
add_module_names = False

html_theme = "pydata_sphinx_theme"
html_title = "skygen"
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_sidebars = {"log": [], "results": []}
html_theme_options = {
    "navbar_align": "left",
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "show_prev_next": False,
}
