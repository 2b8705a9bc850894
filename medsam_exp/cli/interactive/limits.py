"""How large an image may be where others choose it: in the app, and for an assistant."""

MEGABYTES = 64
"""Of a file, unless said otherwise."""
MEGAPIXELS = 40.0
"""Of an image, unless said otherwise."""
_MEGAPIXEL = 1e6


def pixels_problem(name: str, height: int, width: int, megapixels: float) -> str | None:
    """Why an image is too large, as a sentence up to its remedy; None where it is not."""
    if height * width <= megapixels * _MEGAPIXEL:
        return None
    return (
        f"{name} has {width} x {height} pixels, more than the {megapixels:g} megapixels that are taken here"
    )
