"""Saliency methods: where in an image a text finds its match; one file each, one choice in conf/saliency."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
