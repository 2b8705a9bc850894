"""Put a page together: one HTML file that holds everything, so that it can be mailed, archived and opened offline.

Plots are drawn by plotly, whose script alone has 4.8 MB: too much for each of hundreds of runs, and a copy beside the
outputs would be lost when a page is mailed. So every page holds the script compressed (gzip as base64, 2.0 MB), and
the browser unpacks it by its own `DecompressionStream` (Chrome 80, Firefox 113, Safari 16.4) after the page is shown.
Drawing the run's two plots as fixed SVG would save those 2 MB, but no point of them could be asked for its image. An
older browser, or one without scripts, shows a fixed picture of the same scores; a page without scores holds no plotly.
"""

import base64
import gzip
import io
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from medsam_exp.runtime.json_text import json_text

LARGEST = 19_000_000
"""Characters of a whole page."""


def render(template: Path, **content: Any) -> str:
    """Fill a template.

    Args:
        template: its file; what it includes or imports lies beside it or in this folder.
        content: what it needs, all of it.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(content)


def as_json(content: Any) -> Markup:
    """JSON that cannot end the script element it stands in; what is not finite becomes null."""
    text = json_text(content, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))


def data_uri(picture: Image.Image, kind: str, **options: Any) -> str:
    """A picture within the page, written by PIL as "png", "jpeg" or "webp"."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


@cache
def compressed_plotly() -> Markup:
    """Plotly's script, gzip as base64; "" where plotly is not installed, and a page then has no plots."""
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError:
        return Markup("")
    packed = gzip.compress(get_plotlyjs().encode(), compresslevel=9, mtime=0)
    return Markup(base64.b64encode(packed).decode())
