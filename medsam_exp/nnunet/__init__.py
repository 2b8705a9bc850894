"""Everything that speaks to nnU-Net (`nnunetv2`, an optional extra), which is used as published.

Importing nnU-Net takes seconds, so modules here import it inside the functions that need it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
