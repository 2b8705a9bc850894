"""From a saliency map to a coarse mask: post-processing, connected components, presence of the target, veto."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
