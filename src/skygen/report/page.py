"""The report as one HTML page that needs no network: the Markdown's text, with its pictures in the page itself."""

import base64
import html
import io
import re
from collections.abc import MutableMapping, Sequence
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from PIL import Image

from skygen.report.tables import NOT_WORSE

# Tiles are mostly noise, which PNG hardly compresses. JPEG at 85 keeps its strength within a tenth, in
# a fifth of the bytes; WebP at 85 loses a third of it.
_JPEG_QUALITY = 85


def write_page(markdown: str, folder: Path) -> str:
    """The text of a page in HTML: `markdown`, whose pictures lie in `folder`, by relative links.

    Raises `FileNotFoundError` where a picture is missing. Pictures of tiles become JPEG, charts stay SVG.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    for name, rule in (("table_open", _open_table), ("table_close", _close_table), ("image", _figure)):
        parser.add_render_rule(name, rule)
    tokens = parser.parse(markdown)
    headings = _name_headings(tokens)
    first = next((place + 1 for place, token in enumerate(tokens) if token.type == "heading_close"), 0)
    options, scope = parser.options, {"folder": folder}
    filled = {
        "title": html.escape(headings[0][2]) if headings else "Report",
        "heading": parser.renderer.render(tokens[:first], options, scope),
        "contents": "\n".join(_entry(name, text) for level, name, text in headings if level == "h2"),
        "body": _mark(_unwrap(parser.renderer.render(tokens[first:], options, scope))),
    }
    template = (files("skygen.report") / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda place: filled[place[1]], template)


def _name_headings(tokens: Sequence[Token]) -> list[tuple[str, str, str]]:
    """The (level, id, text) of every heading, and each heading its id, by which it can be linked to."""
    found = []
    for token, content in pairwise(tokens):
        if token.type == "heading_open":
            name = re.sub(r"\W+", "-", content.content.lower()).strip("-")
            token.attrSet("id", name)
            found.append((token.tag, name, content.content))
    return found


def _entry(name: str, text: str) -> str:
    return f'<li><a href="#{name}">{html.escape(text)}</a></li>'


def _unwrap(page: str) -> str:
    """The page without the paragraphs that Markdown puts around pictures, which are figures here."""
    return re.sub(r"<p>(<figure>.*?</figure>)</p>", r"\1", page, flags=re.DOTALL)


def _mark(page: str) -> str:
    """The page with the mark of what is not worse than real tiles named for those who hear it, and its cell tinted."""
    mark = f'<span class="real" role="img" aria-label="not worse than real-real">{NOT_WORSE}</span>'
    return re.sub(rf"{NOT_WORSE}(?=</td>)", mark, page)


def _open_table(*_: Any) -> str:
    """A box in which a table that is wider than the page scrolls, by keys too."""
    return '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>\n'


def _close_table(*_: Any) -> str:
    return "</table></div>\n"


def _figure(_renderer: Any, tokens: Sequence[Token], place: int, _options: Any, scope: MutableMapping[str, Any]) -> str:
    """A figure with its picture in the page, which a click or a key enlarges, and its alternative text below."""
    source, words = str(tokens[place].attrs["src"]), html.escape(tokens[place].content)
    kind = "chart" if source.endswith(".svg") else "tiles"
    picture = f'<img class="{kind}" src="{_data_uri(scope["folder"] / source)}" alt="{words}">'
    button = f'<button type="button" title="Enlarge">{picture}</button>'
    return f'<figure><div class="scroll">{button}</div><figcaption>{words}</figcaption></figure>'


def _data_uri(path: Path) -> str:
    """The picture in `path` as an address that holds it; raises `FileNotFoundError` where it is missing."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the report shows it, but it is missing; run the stages evaluate and compare")
    content, kind = (path.read_bytes(), "svg+xml") if path.suffix == ".svg" else (_jpeg(path), "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _jpeg(path: Path) -> bytes:
    """The picture as JPEG with the full resolution of its colours, in grey where it has none."""
    stream = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").save(stream, format="JPEG", quality=_JPEG_QUALITY, subsampling=0, optimize=True)
    return stream.getvalue()
