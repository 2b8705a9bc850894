"""The prompter of one image, of a choice that may look at the image or its map."""

from collections.abc import Callable

from medsam_exp.types import ImagePrompter, MapPrompter, Prompter, RGBImage, SaliencyMap


def prompter_of(
    choice: Prompter | MapPrompter | ImagePrompter,
    read_map: Callable[[], SaliencyMap],
    read_image: Callable[[], RGBImage],
) -> Prompter:
    """Return what makes prompts of a coarse mask of the image; map (H, W) and image (H, W, 3) are read if looked at."""
    if isinstance(choice, ImagePrompter):
        choice = choice.on_image(read_image())
    return choice.on_map(read_map()) if isinstance(choice, MapPrompter) else choice
