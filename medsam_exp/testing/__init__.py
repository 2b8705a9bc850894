"""Checks that every method, dataset and measure must pass, of this package or of yours; they need no test runner.

Each takes the object, or a configuration node that describes it, and raises an AssertionError that says what the object
does not keep.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
