"""What every room needs of the machine: files, locks, processes, signals, random numbers, progress."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
