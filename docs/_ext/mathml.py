"""Renders equations as MathML when the site is built, so that a page needs no script, font or network to show them."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

_NAME = "mathml"


def setup(app: Sphinx) -> dict[str, Any]:
    """Offer the renderer to Sphinx as `html_math_renderer = "mathml"`."""
    app.add_html_math_renderer(_NAME, inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    """An equation on its own; without a number, as only the paper's numbers are spoken of."""
    writer.body.append(writer.starttag(node, "div", CLASS="math"))
    writer.body.append(convert(node.astext(), display="block"))
    writer.body.append("</div>\n")
    raise nodes.SkipNode
