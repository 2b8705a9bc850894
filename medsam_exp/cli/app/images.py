"""Images as data addresses, which a page can show without asking for a file."""

import base64
import io

from PIL import Image


def data_address(picture: Image.Image, kind: str, side: int | None = None) -> str:
    """The address of an image in a format such as "png", whose longer side has at most `side` pixels."""
    copy, buffer = picture.copy(), io.BytesIO()
    if side is not None:
        copy.thumbnail((side, side), Image.Resampling.LANCZOS)
    copy.save(buffer, kind)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
