"""Does a saliency map keep what the network used? Confidence drop and increase (Chattopadhay 2018, Wang 2023)."""


def confidence_drop(original: float, masked: float) -> float | None:
    """Share of the match of image and text that is lost when only the salient part of the image is left.

    Args:
        original: similarity of the text and the whole image.
        masked: similarity of the text and the image masked by its map.

    Returns:
        max(0, original - masked) / original, >= 0 and lower is better; above 1 when the masked image speaks against
        the text. None when the whole image does not match its text (original <= 0), as there is nothing to lose.
    """
    return max(0.0, original - masked) / original if original > 0 else None


def confidence_increase(original: float, masked: float) -> float:
    """Whether the salient part alone matches the text better than the whole image: 1 or 0; higher is better."""
    return float(masked > original)
