"""SAM: an image and visual prompts go in, masks in the original frame come out."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
