"""CLIP models through open_clip: load them, encode with them, split their vision tower after a layer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
