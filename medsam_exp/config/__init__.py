"""The configuration: its schema, what is checked before a model is loaded, how objects are built from it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
