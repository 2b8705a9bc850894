"""The stages of the pipeline: their table, what each is given, and one module for each."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
