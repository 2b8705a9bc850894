"""Images as data addresses, which a page can show without asking for a file."""

import base64
import io

from PIL import Image


def data_address(content: bytes, kind: str) -> str:
    """The address of an encoded image of a kind, such as "png"."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def thumbnail_address(picture: Image.Image, side: int, kind: str) -> str:
    """A copy of an image whose longer side has at most `side` pixels, as a data address."""
    copy, buffer = picture.copy(), io.BytesIO()
    copy.thumbnail((side, side), Image.Resampling.LANCZOS)
    copy.save(buffer, kind)
    return data_address(buffer.getvalue(), kind)
