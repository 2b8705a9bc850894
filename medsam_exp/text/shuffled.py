"""Control: each image gets the text of another image."""

from collections.abc import Sequence

from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.types import Sample, TextSource, UserError


class Shuffled:
    """Permutes the texts of a source so that no image keeps its text (a derangement).

    Scores that stay as they were mean that the text is not heard. An image does not get an equal text either,
    as long as no text belongs to more than half of the images.

    Args:
        source: the texts to shuffle.
        seed: chooses who gets whose text.
    """

    def __init__(self, source: TextSource, seed: int) -> None:
        self.uses_class_labels = source.uses_class_labels
        tells = getattr(source, "tells", "")
        self.tells = f"of another image: {tells}" if tells else ""
        self._source, self._seed = source, seed

    def bind(self, samples: Sequence[Sample]) -> dict[str, tuple[str, ...]]:
        """Another image's texts for every sample; depends on the set of samples, not on their order.

        Raises:
            UserError: all texts are equal, so that shuffling changes nothing (or the source has no text).
        """
        texts = self._source.bind(samples)
        same_text: dict[tuple[str, ...], list[str]] = {}
        for sample_id in sorted(texts):
            same_text.setdefault(texts[sample_id], []).append(sample_id)
        if len(same_text) < 2:
            raise UserError(
                "text=shuffled changes nothing, all images have the same text: wrap another source"
            )
        generator = numpy_generator(self._seed, "text", "shuffled")
        groups = [generator.permutation(group).tolist() for group in same_text.values()]
        circle = [sample_id for i in generator.permutation(len(groups)) for sample_id in groups[i]]
        step = max(map(len, groups))  # jumps over the largest group of equal texts
        givers = dict(zip(circle, circle[step:] + circle[:step], strict=True))
        return {sample.id: texts[givers[sample.id]] for sample in samples}
