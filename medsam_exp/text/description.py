"""Each image's own description, where the dataset has one."""

from collections.abc import Sequence

from medsam_exp.runtime.wording import first_few
from medsam_exp.types import Sample, UserError


class Description:
    """The truthful sentence that a dataset gives about the target of each image."""

    uses_class_labels = True
    is_own_description = True
    """Each image keeps its own: where that asks for something absent, its empty mask is right."""
    tells = "each text states the true place, size, tone and class of what is to be found"

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """The description of every sample.

        Raises:
            UserError: a sample has no description.
        """
        texts = {sample.id: (sample.description or "").strip() for sample in samples}
        missing = [sample_id for sample_id, text in texts.items() if not text]
        if missing:
            shown = first_few(missing)
            raise UserError(
                f"{len(missing)} of {len(texts)} samples have no description ({shown}): "
                "choose text=class_name, free or per_image"
            )
        return {sample_id: (text,) for sample_id, text in texts.items()}
