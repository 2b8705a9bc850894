"""The name of the target, the same for every image (P0)."""

from collections.abc import Sequence

from medsam_exp.types import Sample, UserError


class ClassName:
    """Says only what to look for, such as "breast tumor".

    Args:
        target: the target in words; None or empty is an error.

    Raises:
        UserError: there is no target.
    """

    uses_class_labels = False
    tells = ""

    def __init__(self, target: str | None) -> None:
        if not target or not target.strip():
            raise UserError(
                "data.target is not set: say what to find (data.target='breast tumor') or use text=free"
            )
        self.target = target.strip()

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The target's name for every sample."""
        return {sample.id: (self.target,) for sample in samples}
