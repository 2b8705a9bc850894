"""How often the right partner is found by its embedding: texts by image, and images by text.

Images with the same text share their right answers. Items that are as similar as the best right one share its
place: their order counts as drawn by lot, and a hit is the chance that a right one is drawn. So a model whose
embeddings are all alike scores exactly what guessing scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.nn.functional import normalize

from medsam_exp.metrics.clusters import Clusters, patients_part, picked
from medsam_exp.metrics.summary import summarise
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.types import PairSource, UserError

_TIE = 1e-6
"""Cosines this close are equal: float32 sums in another order differ by about that much."""
TOP = (1, 2)
"""Places that count within a batch (paper, Table 2)."""
RECALL = (1, 5, 10)
"""Places that count among all pairs."""
DIRECTIONS = ("image_to_text", "text_to_image")
_CELLS_AT_ONCE = 2**24  # of similarities in memory

Hits = dict[str, dict[int, Tensor]]
"""Of `DIRECTIONS`, by k: hits of the queries, in [0, 1]; of images asked for texts, and of texts asked for images."""


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
            CaptionedImages(image, text, torch.arange(len(groups)), groups),
            batch_size=self.batch_size,
            shuffles=self.shuffles,
            seed=seed,
            clusters=patients,
            drop_last=True,
        )
        return {"figures": figures, "facts": facts}


def caption_groups(captions: Sequence[str]) -> Tensor:
    """Number each caption, equal texts alike: (N,) int64."""
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(caption, len(numbers)) for caption in captions])


class CaptionedImages:
    """Embedded images with their captions.

    Args:
        image: (N, D) embeddings, any length.
        text: (M, D) embeddings of all captions, any length.
        owner: (M,) int64, the image that each caption is of; every image has one at least.
        groups: (M,) int64, equal for equal captions, which are right for the images of all of them.
    """

    def __init__(self, image: Tensor, text: Tensor, owner: Tensor, groups: Tensor) -> None:
        self.image, self.text, self.owner, self.groups = _unit(image), _unit(text), owner, groups
        ones = torch.ones(len(owner), dtype=torch.bool)
        size = (len(image), int(groups.max()) + 1)
        self._describes = csr_matrix((ones.numpy(), (owner.numpy(), groups.numpy())), shape=size)

    def _right(self, images: Tensor, texts: Tensor) -> Tensor:
        """(I, T) bool: whether the text (T,) is a caption of the image (I,), both by number."""
        described = self._describes[images.numpy()][:, self.groups[texts].numpy()]
        return torch.from_numpy(described.toarray())

    def _hits(
        self, images: Tensor, texts: Tensor, ks: Sequence[int], directions: Sequence[str] = DIRECTIONS
    ) -> Hits:
        """Find each image's captions among these texts, and each text's images among these images."""
        similarity, right = self.image[images] @ self.text[texts].T, self._right(images, texts)
        turned = {"image_to_text": (similarity, right), "text_to_image": (similarity.T, right.T)}
        return {direction: _find(*turned[direction], ks) for direction in directions}

    def in_batches(
        self, batch_size: int, shuffles: int, seed: int, ks: Sequence[int] = TOP, *, drop_last: bool = False
    ) -> Hits:
        """Find partners among the images of a batch and their captions; the images are shuffled several times.

        Args:
            batch_size: images that are compared with each other (paper: 50).
            shuffles: how often (paper: 5).
            seed: of the shuffles; equal for equal seeds whatever the embeddings.
            ks: places that count.
            drop_last: leave out the images of a shuffle that fill no batch; else they are the last batch.

        Returns:
            Hits (shuffles, N) of images and (shuffles, M) of texts, float64; NaN for what is left out.

        Raises:
            UserError: there are fewer images than one whole batch.
        """
        count = len(self.image)
        if drop_last and count < batch_size:
            raise UserError(
                f"There are {count} pairs, fewer than one retrieval batch of {batch_size}: "
                f"set retrieval.batch_size to at most {count}, or give more pairs."
            )
        sizes = dict(zip(DIRECTIONS, (count, len(self.text)), strict=True))
        hits = {
            direction: {k: torch.full((shuffles, size), torch.nan, dtype=torch.float64) for k in ks}
            for direction, size in sizes.items()
        }
        for shuffle in range(shuffles):
            order = torch.randperm(count, generator=torch_generator(seed, "retrieval", shuffle))
            for images in order[: count - count % batch_size if drop_last else count].split(batch_size):
                texts = torch.isin(self.owner, images).nonzero()[:, 0]
                for direction, found in self._hits(images, texts, ks).items():
                    asked = images if direction == "image_to_text" else texts
                    for k in ks:
                        hits[direction][k][shuffle, asked] = found[k]
        return hits

    def of_all(self, ks: Sequence[int] = RECALL, rows_at_once: int | None = None) -> Hits:
        """Find partners among all captions and all images.

        Args:
            ks: places that count.
            rows_at_once: queries in memory with all their similarities; by default as many as take 64 MB.

        Returns:
            Hits (N,) of images and (M,) of texts, float64.
        """
        images, texts = torch.arange(len(self.image)), torch.arange(len(self.text))
        rows = rows_at_once or max(1, _CELLS_AT_ONCE // len(texts))
        parts = {
            "image_to_text": [self._hits(some, texts, ks, DIRECTIONS[:1]) for some in images.split(rows)],
            "text_to_image": [self._hits(images, some, ks, DIRECTIONS[1:]) for some in texts.split(rows)],
        }
        return {
            direction: {k: torch.cat([part[direction][k] for part in found]) for k in ks}
            for direction, found in parts.items()
        }


def retrieval_figures(
    images: CaptionedImages,
    *,
    batch_size: int,
    shuffles: int,
    seed: int,
    clusters: Clusters | None = None,
    drop_last: bool = False,
) -> dict[str, dict[str, Any]]:
    """Both protocols in both directions.

    Args:
        images: N images with M captions.
        batch_size: of the batched protocol.
        shuffles: of the batched protocol.
        seed: of shuffles and confidence intervals.
        clusters: (N,) what to draw together in intervals, such as the patient of each image; its captions go with it.
            None where all are independent.
        drop_last: see `CaptionedImages.in_batches`.

    Returns:
        By name, such as `top1_image_to_text` (within batches) and `recall5_text_to_image` (among all): `mean`;
        `std`, over shuffles within batches (paper, Table 2), over queries among all; `ci95` of the mean, by bootstrap
        over queries or clusters, as of `summarise`; `n`, number of images or captions asked; `patients`, the number of
        clusters; `chance`, the mean when every embedding is the same.

    Raises:
        UserError: there are fewer images than one whole batch.
    """
    ones = torch.ones(len(images.text), 1)
    alike = CaptionedImages(ones[: len(images.image)], ones, images.owner, images.groups)
    found, by_lot = (
        each.in_batches(batch_size, shuffles, seed, drop_last=drop_last) for each in (images, alike)
    )
    among_all, lot_of_all = images.of_all(), alike.of_all()
    of_texts = clusters and [clusters[owner] for owner in images.owner.tolist()]
    figures: dict[str, dict[str, Any]] = {}
    for direction, own in zip(DIRECTIONS, (clusters, of_texts), strict=True):
        for k, hits in found[direction].items():
            chance = float(by_lot[direction][k].nanmean())
            figures[f"top{k}_{direction}"] = _over_shuffles(hits, seed, own) | {"chance": chance}
        for k, hits in among_all[direction].items():
            chance = float(lot_of_all[direction][k].mean())
            figures[f"recall{k}_{direction}"] = summarise(hits.tolist(), seed, own) | {"chance": chance}
    return figures


def _over_shuffles(hits: Tensor, seed: int, clusters: Clusters | None) -> dict[str, Any]:
    """Mean and spread over shuffles of hits (shuffles, N); the interval is over queries, each with its own mean."""
    by_shuffle, by_query = hits.nanmean(1), hits.nanmean(0)
    known = (~by_query.isnan()).nonzero().flatten().tolist()
    asked = summarise(by_query[known].tolist(), seed, clusters and [clusters[pair] for pair in known])
    spread = float(by_shuffle.std()) if len(by_shuffle) > 1 else 0.0
    return asked | {"mean": float(by_shuffle.mean()), "std": spread}


def _unit(embedding: Tensor) -> Tensor:
    """Float32 rows (N, D) of length 1; a zero row stays zero and is equally far from everything."""
    broken = int((~embedding.isfinite()).any(1).sum())
    if broken:
        raise ValueError(f"{broken} of {len(embedding)} embeddings are not finite")
    return normalize(embedding.float(), dim=-1)


def _find(similarity: Tensor, right: Tensor, ks: Sequence[int]) -> dict[int, Tensor]:
    """Chance that a right key comes among the first k, for similarities (Q, K) and right ones (Q, K) bool."""
    best = similarity.masked_fill(~right, -torch.inf).amax(1, keepdim=True)
    ahead = (similarity > best + _TIE).sum(1)
    level = (similarity - best).abs_() <= _TIE
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
