"""Control texts: for each image a contradictory text, a text about something absent, and nonsense."""

from collections.abc import Mapping, Sequence

from medsam_exp.runtime.digests import text_digest
from medsam_exp.runtime.seeding import numpy_generator
from medsam_exp.types import Sample, UserError

KINDS = ("contradictory", "absent", "nonsense")
Texts = dict[str, tuple[str, ...]]
"""Texts by sample id."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WORD_LENGTHS = (2, 9)


class ControlTexts:
    """Three texts for each image under which a method that listens to the text must not show the same map.

    - contradictory: the dataset's own contradiction where it has one; else one of `contradictory_texts`; else the
      text of another image, of another class. It never equals the image's own text.
    - absent: one of `absent_texts`, about something that this kind of image does not show.
    - nonsense: words of random letters, or one of `nonsense_sentences`, each as often.

    What an image gets depends on the seed, its id and the texts there are, not on the order of images.

    Args:
        contradictory_texts: to choose from where the dataset has no contradictions; null takes other images' texts.
        absent_texts: about other organs and other kinds of image.
        nonsense_sentences: true of no scan.
        nonsense_words: random words in a text of random words.

    Raises:
        UserError: a list is empty, or a number makes no sense.
    """

    def __init__(
        self,
        contradictory_texts: list[str] | None,
        absent_texts: list[str],
        nonsense_sentences: list[str],
        nonsense_words: int,
    ) -> None:
        if not absent_texts or not nonsense_sentences or nonsense_words < 1:
            raise UserError(
                "grounding needs at least one of absent_texts and of nonsense_sentences, and nonsense_words >= 1"
            )
        self._contradictory = tuple(contradictory_texts or ())
        self._absent, self._sentences = tuple(absent_texts), tuple(nonsense_sentences)
        self._words = nonsense_words

    def bind(
        self, samples: Sequence[Sample], texts: Mapping[str, tuple[str, ...]], seed: int
    ) -> dict[str, Texts]:
        """Texts by kind of control and sample id.

        Args:
            samples: all images.
            texts: each image's own texts.
            seed: with the sample's id it decides every choice.

        Raises:
            UserError: no contradictory text can be found for an image.
        """
        bound: dict[str, Texts] = {kind: {} for kind in KINDS}
        others: dict[str, set[str | None]] = {}
        shown: dict[str, set[str | None]] = {}
        for sample in samples:
            others.setdefault(texts[sample.id][0], set()).add(sample.class_name)
            shown.setdefault(sample.image, set()).add(sample.class_name)
        for sample in samples:
            own, there = texts[sample.id], shown[sample.image]
            candidates = [text for text in self._contradictions(sample, others, there) if text not in own]
            if not candidates:
                raise UserError(
                    f"no text contradicts that of sample {sample.id!r}, since all images have the same text or class; "
                    "give some, as in: grounding.contradictory_texts='[normal scan]'"
                )
            bound["contradictory"][sample.id] = (_drawn(candidates, seed, sample.id, "contradictory"),)
            bound["absent"][sample.id] = (_drawn(self._absent, seed, sample.id, "absent"),)
            bound["nonsense"][sample.id] = (self._nonsense(seed, sample.id),)
        return bound

    def _contradictions(
        self, sample: Sample, others: Mapping[str, set[str | None]], there: set[str | None]
    ) -> Sequence[str]:
        """Texts that do not hold for an image: its own contradiction, the given ones, or those of other classes."""
        if sample.contradiction is not None:
            return (sample.contradiction,)
        if self._contradictory:
            return self._contradictory
        return [text for text, classes in others.items() if not (classes - {None}) & there]

    def _nonsense(self, seed: int, sample_id: str) -> str:
        generator = numpy_generator(seed, sample_id, "nonsense")
        if generator.uniform() < 0.5:
            return self._sentences[int(generator.integers(len(self._sentences)))]
        lengths = generator.integers(*_WORD_LENGTHS, size=self._words)
        return " ".join("".join(generator.choice(list(_LETTERS), length)) for length in lengths)


def _drawn(candidates: Sequence[str], seed: int, sample_id: str, kind: str) -> str:
    """One of the candidates; another candidate more or less leaves most images' choices as they are."""
    return min(candidates, key=lambda text: text_digest(str(seed), sample_id, kind, text))
