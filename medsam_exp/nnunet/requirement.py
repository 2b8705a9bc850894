"""Whether nnU-Net is installed."""

from importlib.util import find_spec

from medsam_exp.types import UserError


def require_nnunet() -> None:
    """Refuse to go on without nnU-Net.

    Raises:
        UserError: says how to install it.
    """
    if find_spec("nnunetv2") is None:
        raise UserError("needs nnunetv2: make setup installs it, or pip install 'medsam-exp[nnunet]'")
