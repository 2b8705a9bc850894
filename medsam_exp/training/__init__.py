"""Answers of networks that `PredictModule` runs, and trainings with their data: all that a Trainer runs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
