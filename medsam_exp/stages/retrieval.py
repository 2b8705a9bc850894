"""Stage: how well a CLIP model finds the text of an image and the image of a text."""

from collections.abc import Mapping
from typing import Any

from medsam_exp import distributed
from medsam_exp.finite import refuse_broken_rows
from medsam_exp.lightning.pair_inference import EmbeddedPairs, EmbeddingModule, in_order, pair_loader
from medsam_exp.metrics.clusters import Clusters, patients_part, picked
from medsam_exp.metrics.retrieval import caption_groups, retrieval_figures
from medsam_exp.stages.context import StageContext
from medsam_exp.stages.fresh_weights import clip_of_run
from medsam_exp.stages.said_of_texts import cut_captions
from medsam_exp.types import PairSource, UserError


def run(context: StageContext) -> None:
    """Embed all pairs of one part, each process its share, and write the figures."""
    settings = context.build("retrieval")
    pairs = _pairs(context.build("pairs"), settings["part"], settings["batch_size"])
    clip = clip_of_run(context)
    loader = pair_loader(
        pairs,
        clip.preprocess,
        clip.tokenize,
        seed=context.seed,
        batch_size=context.batch_size,
        workers=context.workers,
        rank=distributed.rank(),
        world_size=distributed.world_size(),
    )
    mine: list[EmbeddedPairs] = []
    context.predict_over(EmbeddingModule(clip, mine.append), loader)
    parts = distributed.to_rank_zero(mine)
    if distributed.rank() == 0:
        embedded = in_order([part for share in parts for part in share], len(pairs.ids))
        _refuse_broken(embedded, pairs)
        names = picked(pairs.patients, (pairs.ids[index] for index in embedded.indices))
        record = _measured(embedded, settings, context.seed, names)
        context.log({f"retrieval/{name}": figure["mean"] for name, figure in record["figures"].items()})
        context.artifacts.save(
            "all", record | {"notes": [*pairs.notes, *cut_captions(clip, settings["part"], pairs)]}
        )
    context.advance(1)


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


def _refuse_broken(embedded: EmbeddedPairs, pairs: PairSource) -> None:
    for kind, rows in (("image", embedded.image), ("text", embedded.text)):
        refuse_broken_rows(rows, pairs.ids, f"the {kind} embedding", "CLIP")


def _measured(
    embedded: EmbeddedPairs, settings: Mapping[str, Any], seed: int, patients: Clusters | None
) -> dict[str, Any]:
    """The figures, and the facts that a reader needs to understand them."""
    count, batch_size, shuffles = len(embedded.indices), settings["batch_size"], settings["shuffles"]
    groups = caption_groups(embedded.captions)
    facts = {
        "part": settings["part"],
        "pairs": count,
        "texts": len(groups.unique()),
        "batch_size": batch_size,
        "shuffles": shuffles,
        "left_out": count % batch_size,
        **patients_part(patients),
    }
    figures = retrieval_figures(
        embedded.image,
        embedded.text,
        groups,
        batch_size=batch_size,
        shuffles=shuffles,
        seed=seed,
        clusters=patients,
    )
    return {"figures": figures, "facts": facts}
