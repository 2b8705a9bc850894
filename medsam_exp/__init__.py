"""Text-driven medical image segmentation after MedCLIP-SAMv2 (arXiv 2409.19483)."""

import lazy_loader

__version__ = "0.2.0"

_attribute, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__[__all__.index("loss")] = "losses"  # lazy_loader leaves out what comes after "as"


def __dir__() -> list[str]:
    """All public names."""
    return sorted(__all__)


def __getattr__(name: str) -> object:
    """What the stub beside this file names, imported when it is first asked for."""
    if name == "losses":
        from medsam_exp.clip import loss

        return loss
    return _attribute(name)
