"""Contrastive losses over B matching image-text pairs: one file each, one choice in conf/loss."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
