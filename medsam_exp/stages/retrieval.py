"""Stage: how well a CLIP model finds the text of an image and the image of a text."""

from collections.abc import Mapping

from medsam_exp.runtime import distributed
from medsam_exp.runtime.finite import refuse_broken_rows
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.networks import clip_of_run
from medsam_exp.stages.text_truncation import cut_captions
from medsam_exp.training.pair_inference import EmbeddedPairs, embed_pairs, in_order, pair_reader
from medsam_exp.types import PairSource, UserError


def run(context: StageContext) -> None:
    """Embed all pairs of one part, each process its share, and write the figures."""
    protocol = context.build("retrieval")
    pairs = protocol.pairs(_pairs(context.build("pairs"), protocol.part, protocol.batch_size))
    clip = clip_of_run(context)
    mine: list[EmbeddedPairs] = []
    read = pair_reader(pairs, clip, context.seed, context.batch_size)
    numbers = range(len(pairs.ids))
    context.predict(clip, lambda batch: [(embed_pairs(clip, batch),)], mine.append, read, numbers)
    parts = distributed.to_rank_zero(mine)
    if distributed.rank() == 0:
        embedded = in_order([part for share in parts for part in share], len(pairs.ids))
        for kind, rows in (("image", embedded.image), ("text", embedded.text)):
            refuse_broken_rows(rows, pairs.ids, f"the {kind} embedding", "CLIP")
        record = protocol.measure(pairs, embedded.image, embedded.text, embedded.captions, context.seed)
        context.log({f"retrieval/{name}": figure["mean"] for name, figure in record["figures"].items()})
        context.save("all", record | {"notes": [*pairs.notes, *cut_captions(clip, protocol.part, pairs)]})


def _pairs(parts: Mapping[str, PairSource | None], part: str, batch_size: int) -> PairSource:
    pairs = parts.get(part)
    if pairs is None:
        given = ", ".join(name for name in parts if parts[name] is not None)
        raise UserError(f"retrieval.part={part}, but pairs has only {given}")
    if len(pairs.ids) < batch_size:
        raise UserError(
            f"pairs.{part} has {len(pairs.ids)} pairs, fewer than one batch of retrieval.batch_size={batch_size}; "
            "lower it or give more pairs"
        )
    return pairs
