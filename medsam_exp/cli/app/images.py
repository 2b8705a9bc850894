"""Images as data addresses, which a page can show without asking for a file."""

from PIL import Image

from medsam_exp.report.web.render import data_uri


def data_address(picture: Image.Image, kind: str, side: int | None = None) -> str:
    """The address of an image in a format such as "png", whose longer side has at most `side` pixels."""
    copy = picture.copy()
    if side is not None:
        copy.thumbnail((side, side), Image.Resampling.LANCZOS)
    return data_uri(copy, kind)
