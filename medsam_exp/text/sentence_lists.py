"""Sentences about one task: some that fit every image, and some for each subtype of what is looked for."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from medsam_exp.runtime.wording import first_few
from medsam_exp.types import Sample, UserError


@dataclass(frozen=True)
class SubtypeSentences:
    """One subtype of the target, such as the benign tumors among all breast tumors.

    Attributes:
        name: in words, "benign breast tumor".
        sentences: each says what an image of this subtype looks like.
        aliases: other names of the class in tables of labels.
    """

    name: str
    sentences: tuple[str, ...]
    aliases: tuple[str, ...] = ()


class SentenceLists:
    """All sentences of one source.

    Args:
        source: name of the lists or of their file, for errors.
        generic: sentences that fit every image of the task.
        subtypes: by class name.

    Raises:
        UserError: a sentence is empty or stands twice in a list, or one name means two classes.
    """

    def __init__(self, source: str, generic: Sequence[str], subtypes: Mapping[str, SubtypeSentences]) -> None:
        self.source = source
        self._generic = _clean(source, "generic", generic)
        self.subtypes: dict[str, SubtypeSentences] = {}
        self._by_name: dict[str, str] = {}
        for class_name, subtype in subtypes.items():
            sentences = _clean(source, class_name, subtype.sentences)
            self.subtypes[class_name] = replace(subtype, sentences=sentences)
            for name in (class_name, subtype.name, *subtype.aliases):
                known = self._by_name.setdefault(plain_name(name), class_name)
                if known != class_name:
                    raise UserError(f"{source}: {name!r} means both {known} and {class_name}: rename one")

    def generic(self) -> tuple[str, ...]:
        """Sentences that fit every image.

        Raises:
            UserError: there are none.
        """
        if not self._generic:
            raise UserError(
                f'{self.source} has no generic sentences: add a list "generic", or use text=subtype'
            )
        return self._generic

    def subtypes_of(self, samples: Sequence[Sample]) -> dict[str, SubtypeSentences]:
        """The subtype of each sample by id; upper case, spaces, hyphens and underscores do not matter.

        Raises:
            UserError: a sample has no class, or one that these lists do not know.
        """
        if samples and not self.subtypes:
            raise UserError(f"{self.source} has no subtypes: use text=generic or text=ensemble_generic")
        require_classes(samples)
        unknown = [s for s in samples if plain_name(s.class_name or "") not in self._by_name]
        if unknown:
            more = f" (and {len(unknown) - 1} more samples)" if len(unknown) > 1 else ""
            raise UserError(
                f"sample {unknown[0].id}{more} has the class {unknown[0].class_name!r}, of which {self.source} "
                f"has no sentences; it has {', '.join(self.subtypes)}: correct the class, add it to a file of "
                "your own (text.sentences=FILE), or use text=generic"
            )
        return {s.id: self.subtypes[self._by_name[plain_name(s.class_name or "")]] for s in samples}


def require_classes(samples: Sequence[Sample]) -> None:
    """Refuse samples without a class.

    Raises:
        UserError: says which.
    """
    without = [sample.id for sample in samples if not (sample.class_name or "").strip()]
    if without:
        raise UserError(
            f"{len(without)} of {len(samples)} samples have no class ({first_few(without)}): name a CSV with their "
            "classes in data.index, set data.class_name, or use a text without classes (text=generic)"
        )


def plain_name(name: str) -> str:
    """A class name as it is compared: "COVID-19" and "covid_19" are both "covid 19"."""
    return " ".join(re.split(r"[\s_-]+", name.strip().casefold()))


def in_words(class_name: str) -> str:
    """A class name as text: underscores are spaces."""
    return " ".join(class_name.replace("_", " ").split())


def chosen(sentences: Sequence[str], what: str, index: int) -> tuple[str]:
    """One sentence of a list, counted from 0; `what` names the list in the error.

    Raises:
        UserError: the list has no such sentence.
    """
    if not 0 <= index < len(sentences):
        raise UserError(f"text.index={index}, but {what} has {len(sentences)} sentences, counted from 0")
    return (sentences[index],)


def first(sentences: Sequence[str], what: str, count: int | None) -> tuple[str, ...]:
    """So many first sentences of a list (None: all); `what` names the list in the error.

    Raises:
        UserError: the list has fewer.
    """
    if count is not None and not 1 <= count <= len(sentences):
        raise UserError(
            f"text.count={count}, but {what} has {len(sentences)} sentences: lower it, or use null for all"
        )
    return tuple(sentences[:count])


def _clean(source: str, name: str, sentences: Sequence[str]) -> tuple[str, ...]:
    clean = tuple(sentence.strip() for sentence in sentences)
    if not all(clean):
        raise UserError(f"{source} has an empty sentence in its list {name!r}: write or remove it")
    twice = [sentence for sentence in clean if clean.count(sentence) > 1]
    if twice:
        raise UserError(f"{source} has a sentence twice in its list {name!r} ({twice[0]}): keep one")
    return clean
