"""All promptable networks that can be chosen: how each is built, framed and read from files."""

from collections.abc import Mapping

from medsam_exp.sam.family import Family
from medsam_exp.sam.weight_files import modules

FAMILIES: Mapping[str, Family] = {
    name: family for module in modules() for name, family in module.families().items()
}
"""By architecture; each module of `medsam_exp.sam.architecture` gives its own."""
