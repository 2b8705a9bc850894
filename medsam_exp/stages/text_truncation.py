"""What a stage says of texts that are not read whole, and of captions that are not all used."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from medsam_exp.clip.context_length import CutText, cut_texts
from medsam_exp.runtime import distributed
from medsam_exp.runtime.artifacts import StageArtifacts
from medsam_exp.runtime.wording import first_few
from medsam_exp.stages.records import CutRecord
from medsam_exp.types import PairSource

if TYPE_CHECKING:
    from medsam_exp.clip.model import ClipModel
    from medsam_exp.text_segmenter.segmenter import TextSegmenter

log = logging.getLogger(__name__)

_MEND = "shorten them, or read them in pieces with text=windows, or smaller ones with text.words"


def records_of_cuts(
    network: "ClipModel | TextSegmenter", texts: Mapping[str, Sequence[str]]
) -> dict[str, CutRecord]:
    """For each sample's record: its texts that are longer than the network's context; nothing where all are read whole.

    Called before threads are at work: a tokenizer serves one at a time.
    """
    distinct = dict.fromkeys(text for own in texts.values() for text in own)
    known = {cut.text: asdict(cut) for cut in cut_texts(network.tokenizer, list(distinct))}
    found = {name: [known[text] for text in own if text in known] for name, own in texts.items()}
    return {name: {"cut_texts": cuts} if cuts else {} for name, cuts in found.items()}


def warn_of_cuts(records: Mapping[str, CutRecord]) -> None:
    """Say at once, by one process, which samples' texts are cut, before anything is computed from them."""
    if distributed.rank() == 0:
        cut = {name: record["cut_texts"][-1] for name, record in records.items() if record}
        for note in cut_notes(cut, len(records)):
            log.warning("text: %s", note)


def cut_of_samples(artifacts: Mapping[str, StageArtifacts], ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of each finished sample with a cut text, that text as `records_of_cuts` has it; of several the longest."""
    readers = ("saliency", "text_saliency", "text_mask")
    stage = next((artifacts[name] for name in readers if name in artifacts), None)
    found = zip(ids, stage.infos(ids), strict=True) if stage else ()
    cut = ((name, info.get("cut_texts")) for name, info in found)
    return {name: max(texts, key=itemgetter("tokens")) for name, texts in cut if texts}


def cut_notes(cut: Mapping[str, Mapping[str, Any]], count: int) -> list[str]:
    """A sentence about the samples with a text whose end is not read; none where there are none.

    Args:
        cut: a cut text, as `records_of_cuts` has it, by sample id.
        count: of all samples.
    """
    if not cut:
        return []
    context = next(iter(cut.values()))["context"]
    texts = (
        f"{name} ({one['tokens']} tokens, read up to '{one['last_words']}')" for name, one in cut.items()
    )
    return [
        f"the texts of {len(cut)} of {count} samples are longer than the {context} tokens that the network "
        f"reads, and what follows is not read: {first_few(texts, 5)}: {_MEND}"
    ]


def caption_notes(clip: "ClipModel", parts: Mapping[str, PairSource | None]) -> list[str]:
    """Sentences about captions that are cut or not all used, by part of the pairs."""
    notes = []
    for part, pairs in parts.items():
        if pairs is None:
            continue
        count = sum(len(pairs.captions(pair_id)) for pair_id in pairs.ids)
        if count != len(pairs.ids):
            each = "one of each image's is used, always the same"
            drawn = "each epoch draws one of an image's" if part == "train" else each
            notes.append(f"{part}: {count} captions of {len(pairs.ids)} images; {drawn}")
        notes += cut_captions(clip, part, pairs)
    return notes


def cut_captions(clip: "ClipModel", part: str, pairs: PairSource) -> list[str]:
    """A sentence about the captions of a part of the pairs that are not read to their end; none where all are."""
    by_caption = {caption: pair_id for pair_id in pairs.ids for caption in pairs.captions(pair_id)}
    cut: list[CutText] = cut_texts(clip.tokenizer, list(by_caption))
    if not cut:
        return []
    first = cut[0]
    return [
        f"{part}: {len(cut)} of {len(by_caption)} captions are longer than CLIP's {first.context} tokens, and what "
        f"follows is not read (first: {by_caption[first.text]}, {first.tokens} tokens, read up to '{first.last_words}')"
    ]
