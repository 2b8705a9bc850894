"""What people see of a run: the console's table, pictures and a self-contained HTML report."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
