"""How often the right partner is found by its embedding: texts by image, and images by text.

Pairs with the same text are each other's right answers. Items that are as similar as the best right one share its
place: their order counts as drawn by lot, and a hit is the chance that a right one is drawn. So a model whose
embeddings are all alike scores exactly what guessing scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from medsam_exp.metrics.clusters import Clusters, patients_part, picked
from medsam_exp.metrics.summary import summarise
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.types import PairSource, UserError

TIE = 1e-6
"""Cosines this close are equal: float32 sums in another order differ by about that much."""
TOP = (1, 2)
"""Places that count within a batch (paper, Table 2)."""
RECALL = (1, 5, 10)
"""Places that count among all pairs."""
CELLS_AT_ONCE = 2**24  # of similarities in memory


@dataclass(frozen=True)
class OneCaption:
    """The paper's protocol: one caption of each image, drawn by the seed, in whole batches.

    Args:
        part: of `pairs`.
        batch_size: pairs that are compared with each other (paper: 50).
        shuffles: how often the pairs are shuffled into batches (paper: 5).
    """

    part: str
    batch_size: int
    shuffles: int

    def pairs(self, given: PairSource) -> PairSource:
        """What is embedded: each image once, with the caption that is drawn."""
        return given

    def measure(
        self, pairs: PairSource, image: Tensor, text: Tensor, captions: Sequence[str], seed: int
    ) -> dict[str, Any]:
        """The figures, and the facts that a reader needs to understand them.

        Args:
            pairs: N pairs, of which these are the embeddings.
            image: (N, D).
            text: (N, D).
            captions: N texts.
            seed: of shuffles and confidence intervals.
        """
        groups, patients = caption_groups(captions), picked(pairs.patients, pairs.ids)
        given = sum(len(pairs.captions(pair_id)) for pair_id in pairs.ids)
        facts = {
            "part": self.part,
            "pairs": len(captions),
            "texts": len(groups.unique()),
            "batch_size": self.batch_size,
            "shuffles": self.shuffles,
            "left_out": len(captions) % self.batch_size,
            "captions": given,
            "captions_left_out": given - len(captions),
            **patients_part(patients),
        }
        figures = retrieval_figures(
            image,
            text,
            groups,
            batch_size=self.batch_size,
            shuffles=self.shuffles,
            seed=seed,
            clusters=patients,
        )
        return {"figures": figures, "facts": facts}


def caption_groups(captions: Sequence[str]) -> Tensor:
    """Number each caption, equal texts alike: (N,) int64."""
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(caption, len(numbers)) for caption in captions])


def batched_top_k(
    query: Tensor,
    key: Tensor,
    groups: Tensor,
    *,
    batch_size: int,
    shuffles: int,
    seed: int,
    ks: Sequence[int] = TOP,
) -> dict[int, Tensor]:
    """Find the partner among the pairs of a batch; the pairs are shuffled into batches several times.

    Args:
        query: (N, D) embeddings, any length.
        key: (N, D) embeddings; row i belongs to query i.
        groups: (N,) int64, equal for pairs with the same text.
        batch_size: pairs that are compared with each other (paper: 50).
        shuffles: how often (paper: 5).
        seed: of the shuffles; equal for equal seeds whatever the embeddings.
        ks: places that count.

    Returns:
        For each k the hits (shuffles, N) in [0, 1], float64; NaN for the N % batch_size pairs of a shuffle that
        fill no batch and are left out.

    Raises:
        UserError: there are fewer pairs than one batch.
    """
    query, key, count = unit(query), unit(key), len(query)
    if count < batch_size:
        raise UserError(
            f"There are {count} pairs, fewer than one retrieval batch of {batch_size}: "
            f"set retrieval.batch_size to at most {count}, or give more pairs."
        )
    hits = {k: torch.full((shuffles, count), torch.nan, dtype=torch.float64) for k in ks}
    for shuffle in range(shuffles):
        order = torch.randperm(count, generator=torch_generator(seed, "retrieval", shuffle))
        for batch in order[: count // batch_size * batch_size].split(batch_size):
            right = groups[batch, None] == groups[batch]
            for k, found in find(query[batch] @ key[batch].T, right, ks).items():
                hits[k][shuffle, batch] = found
    return hits


def recall_at_k(
    query: Tensor,
    key: Tensor,
    groups: Tensor,
    ks: Sequence[int] = RECALL,
    rows_at_once: int | None = None,
) -> dict[int, Tensor]:
    """Find the partner among all pairs.

    Args:
        query: (N, D) embeddings, any length.
        key: (N, D) embeddings; row i belongs to query i.
        groups: (N,) int64, equal for pairs with the same text.
        ks: places that count.
        rows_at_once: queries in memory with their N similarities each; by default as many as take 64 MB.

    Returns:
        For each k the hits (N,) in [0, 1], float64.
    """
    query, key = unit(query), unit(key)
    rows = rows_at_once or max(1, CELLS_AT_ONCE // len(key))
    parts = [
        find(some @ key.T, own[:, None] == groups, ks)
        for some, own in zip(query.split(rows), groups.split(rows), strict=True)
    ]
    return {k: torch.cat([part[k] for part in parts]) for k in ks}


def retrieval_figures(
    image: Tensor,
    text: Tensor,
    groups: Tensor,
    *,
    batch_size: int,
    shuffles: int,
    seed: int,
    clusters: Clusters | None = None,
) -> dict[str, dict[str, Any]]:
    """Both protocols in both directions.

    Args:
        image: (N, D) embeddings of images.
        text: (N, D) embeddings of their texts.
        groups: (N,) int64, equal for pairs with the same text.
        batch_size: of the batched protocol.
        shuffles: of the batched protocol.
        seed: of shuffles and confidence intervals.
        clusters: (N,) the patient of each pair; None where patients are unknown.

    Returns:
        By name, such as `top1_image_to_text` (within batches) and `recall5_text_to_image` (among all): `mean`;
        `std`, over shuffles within batches (paper, Table 2), over pairs among all; `ci95` of the mean, by bootstrap
        over pairs or patients, as of `summarise`; `n`, number of pairs asked; `patients`, where they are known;
        `chance`, the mean when every embedding is the same.

    Raises:
        UserError: there are fewer pairs than one batch.
    """
    in_batches = partial(batched_top_k, groups=groups, batch_size=batch_size, shuffles=shuffles, seed=seed)
    alike = torch.ones(len(image), 1)
    by_lot = {f"top{k}": hits.nanmean() for k, hits in in_batches(alike, alike).items()}
    by_lot |= {f"recall{k}": hits.mean() for k, hits in recall_at_k(alike, alike, groups).items()}
    figures = {}
    for direction, query, key in (("image_to_text", image, text), ("text_to_image", text, image)):
        found = {f"top{k}": over_shuffles(hits, seed, clusters) for k, hits in in_batches(query, key).items()}
        for k, hits in recall_at_k(query, key, groups).items():
            found[f"recall{k}"] = summarise(hits.tolist(), seed, clusters)
        for name, figure in found.items():
            figures[f"{name}_{direction}"] = figure | {"chance": float(by_lot[name])}
    return figures


def over_shuffles(hits: Tensor, seed: int, clusters: Clusters | None) -> dict[str, Any]:
    """Mean and spread over shuffles of hits (shuffles, N); the interval is over pairs, each with its own mean."""
    by_shuffle, by_pair = hits.nanmean(1), hits.nanmean(0)
    known = (~by_pair.isnan()).nonzero().flatten().tolist()
    asked = summarise(by_pair[known].tolist(), seed, clusters and [clusters[pair] for pair in known])
    spread = float(by_shuffle.std()) if len(by_shuffle) > 1 else 0.0
    return asked | {"mean": float(by_shuffle.mean()), "std": spread}


def unit(embedding: Tensor) -> Tensor:
    """Float32 rows (N, D) of length 1; a zero row stays zero and is equally far from everything."""
    broken = int((~embedding.isfinite()).any(1).sum())
    if broken:
        raise ValueError(f"{broken} of {len(embedding)} embeddings are not finite")
    return normalize(embedding.float(), dim=-1)


def find(similarity: Tensor, right: Tensor, ks: Sequence[int]) -> dict[int, Tensor]:
    """Chance that a right key comes among the first k, for similarities (Q, K) and right ones (Q, K) bool."""
    best = similarity.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
    ahead = (similarity > best + TIE).sum(1)
    level = (similarity - best).abs_() <= TIE
    right_level = (level & right).sum(1)
    wrong_level = level.sum(1) - right_level
    return {k: _drawn(k - ahead, wrong_level, right_level) for k in ks}


def _drawn(places: Tensor, wrong: Tensor, right: Tensor) -> Tensor:
    """Chance (Q,) that `places` draws without replacement from `wrong` + `right` items meet a right one."""
    missed = torch.ones_like(places, dtype=torch.float64)
    for draw in range(max(0, int(places.max()))):
        still_wrong = (wrong - draw).clamp(min=0) / (wrong + right - draw).clamp(min=1).double()
        missed = torch.where(draw < places, missed * still_wrong, missed)
    return 1 - missed
