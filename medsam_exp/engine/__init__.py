"""Runs stages: plans their keys, computes what is not stored yet, keeps test images apart from training images."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
