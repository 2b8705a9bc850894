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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from medsam_exp.runtime.json_text import json_text

_HERE = Path(__file__).parent
LARGEST = 19_000_000
"""Characters of a whole page."""


def render(template: Path, **content: Any) -> str:
    """Fill a template.

    Args:
        template: its file; what it includes or imports lies beside it or in this folder.
        content: what it needs, all of it.
    """
    return _environment(template.parent).get_template(template.name).render(content)


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([folder, _HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["source"] = _source
    return environment


def _source(name: str) -> Markup:
    """A stylesheet or script of this folder as it is; as a template it would be compiled first."""
    return Markup((_HERE / name).read_text().rstrip("\n"))


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
    if (plotly := find_spec("plotly")) is None or plotly.origin is None:
        return Markup("")
    script = Path(plotly.origin).parent / "package_data" / "plotly.min.js"  # importing plotly takes longer
    packed = gzip.compress(script.read_bytes(), compresslevel=6, mtime=0)
    return Markup(base64.b64encode(packed).decode())
