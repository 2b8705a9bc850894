"""Networks that segment from image and text alone, without a saliency map: the rivals of the method."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
