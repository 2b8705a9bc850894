"""Datasets before any run: preparing downloads, checking data quality, writing masks back to scans."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
