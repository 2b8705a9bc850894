"""How good a mask or a map is: pure functions of arrays, then their summary over images."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
