"""Retrieval in which any caption of an image is right, over all images and all captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from medsam_exp.metrics.clusters import Clusters, patients_part, picked
from medsam_exp.metrics.retrieval import (
    CELLS_AT_ONCE,
    RECALL,
    TOP,
    caption_groups,
    find,
    over_shuffles,
    unit,
)
from medsam_exp.metrics.summary import summarise
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.types import PairSource, RGBImage

if TYPE_CHECKING:
    from medsam_exp.runtime.digests import FileDigests

Hits = dict[str, dict[int, Tensor]]
"""Direction -> k -> hits of the queries, in [0, 1]; of images asked for texts, and of texts asked for images."""


@dataclass(frozen=True)
class AllCaptions:
    """Every caption of every image; any caption of an image is right, and no pair is left out.

    As CLIP's retrieval is usually measured (Karpathy & Fei-Fei 2015, arXiv 1412.2306), within batches and among all.

    Args:
        part: of `pairs`.
        batch_size: images that are compared with each other, with all their captions.
        shuffles: how often the images are shuffled into batches.
    """

    part: str
    batch_size: int
    shuffles: int

    def pairs(self, given: PairSource) -> "EachCaption":
        """What is embedded: each image once for each of its captions."""
        return EachCaption(given)

    def measure(
        self, pairs: "EachCaption", image: Tensor, text: Tensor, captions: Sequence[str], seed: int
    ) -> dict[str, Any]:
        """The figures, and the facts that a reader needs to understand them.

        Args:
            pairs: M pairs, of which these are the embeddings, of N images.
            image: (M, D).
            text: (M, D).
            captions: M texts.
            seed: of shuffles and confidence intervals.
        """
        groups, owner = caption_groups(captions), torch.tensor(pairs.owners)
        first = torch.tensor(pairs.firsts)
        images = CaptionedImages(image[first], text, owner, groups)
        facts = {
            "part": self.part,
            "images": len(first),
            "captions": len(captions),
            "texts": len(groups.unique()),
            "batch_size": self.batch_size,
            "shuffles": self.shuffles,
            "last_batch": len(first) % self.batch_size or self.batch_size,
        }
        asked = [pairs.ids[number] for number in pairs.firsts]
        patients = picked(pairs.patients, asked)
        figures = all_captions_figures(
            images,
            batch_size=self.batch_size,
            shuffles=self.shuffles,
            seed=seed,
            clusters=patients or asked,
        )
        if patients is None:  # images were drawn
            for figure in figures.values():
                del figure["patients"]
        facts |= patients_part(patients)
        return {"figures": figures, "facts": facts}


class EachCaption:
    """A source of pairs that has an image once for each of its captions.

    Args:
        pairs: N images with all their captions.

    Attributes:
        ids: of M pairs of an image and a caption.
        notes: of `pairs`.
        owners: number of the image of each pair.
        firsts: number of the first pair of each image.
        patients: of each pair's image; None where they are unknown.
    """

    def __init__(self, pairs: PairSource) -> None:
        self._pairs, self.notes = pairs, pairs.notes
        each = {
            f"{pair_id} caption {place}": (number, pair_id, caption)
            for number, pair_id in enumerate(pairs.ids)
            for place, caption in enumerate(pairs.captions(pair_id))
        }
        self._each, self.ids = each, tuple(each)
        self.owners = tuple(number for number, _, _ in each.values())
        known = pairs.patients
        self.patients = known and {name: known[pair_id] for name, (_, pair_id, _) in each.items()}
        self.firsts = tuple(np.unique(self.owners, return_index=True)[1].tolist())

    def read_image(self, pair_id: str) -> RGBImage:
        """Read the pixels of one image."""
        return self._pairs.read_image(self._each[pair_id][1])

    def captions(self, pair_id: str) -> tuple[str, ...]:
        """The one caption of a pair."""
        return self._each[pair_id][2:]

    def identity(self, pair_id: str) -> str:
        """What identifies the image's pixels."""
        return self._pairs.identity(self._each[pair_id][1])

    def digest(self, digests: "FileDigests") -> str:
        """Hash of what decides all images and captions."""
        return self._pairs.digest(digests)


class CaptionedImages:
    """Embedded images with all their captions.

    Args:
        image: (N, D) embeddings, any length.
        text: (M, D) embeddings of all captions, any length.
        owner: (M,) int64, the image that each caption is of; every image has one at least.
        groups: (M,) int64, equal for equal captions, which are right for the images of all of them.
    """

    def __init__(self, image: Tensor, text: Tensor, owner: Tensor, groups: Tensor) -> None:
        self.image, self.text, self.owner, self.groups = unit(image), unit(text), owner, groups
        ones = torch.ones(len(owner), dtype=torch.bool)
        size = (len(image), int(groups.max()) + 1)
        self._describes = csr_matrix((ones.numpy(), (owner.numpy(), groups.numpy())), shape=size)

    def right(self, images: Tensor, texts: Tensor) -> Tensor:
        """(I, T) bool: whether the text (T,) is a caption of the image (I,), both by number."""
        described = torch.from_numpy(self._describes[images.numpy()].toarray())
        return described[:, self.groups[texts]]

    def hits(self, images: Tensor, texts: Tensor, ks: Sequence[int]) -> Hits:
        """Find each image's captions among these texts, and each text's images among these images."""
        image, text, right = self.image[images], self.text[texts], self.right(images, texts)
        return {
            "image_to_text": find(image @ text.T, right, ks),
            "text_to_image": find(text @ image.T, right.T, ks),
        }

    def in_batches(self, batch_size: int, shuffles: int, seed: int, ks: Sequence[int] = TOP) -> Hits:
        """Hits (shuffles, N) of images and (shuffles, M) of texts, among the images of a batch and their captions.

        The last batch of a shuffle has the images that are left, and counts like the others.
        """
        size = {"image_to_text": len(self.image), "text_to_image": len(self.text)}
        hits = {
            way: {k: torch.zeros(shuffles, n, dtype=torch.float64) for k in ks} for way, n in size.items()
        }
        for shuffle in range(shuffles):
            order = torch.randperm(len(self.image), generator=torch_generator(seed, "retrieval", shuffle))
            for images in order.split(batch_size):
                texts = torch.isin(self.owner, images).nonzero()[:, 0]
                for way, found in self.hits(images, texts, ks).items():
                    asked = images if way == "image_to_text" else texts
                    for k in ks:
                        hits[way][k][shuffle, asked] = found[k]
        return hits

    def of_all(self, ks: Sequence[int] = RECALL, rows_at_once: int | None = None) -> Hits:
        """Hits (N,) of images and (M,) of texts, among all captions and all images."""
        every_image, every_text = torch.arange(len(self.image)), torch.arange(len(self.text))
        rows = rows_at_once or max(1, CELLS_AT_ONCE // len(self.text))
        by_image = [
            find(self.image[some] @ self.text.T, self.right(some, every_text), ks)
            for some in every_image.split(rows)
        ]
        by_text = [
            find(self.text[some] @ self.image.T, self.right(every_image, some).T, ks)
            for some in every_text.split(rows)
        ]
        parts = {"image_to_text": by_image, "text_to_image": by_text}
        return {way: {k: torch.cat([part[k] for part in found]) for k in ks} for way, found in parts.items()}


def all_captions_figures(
    images: CaptionedImages, *, batch_size: int, shuffles: int, seed: int, clusters: Clusters
) -> dict[str, dict[str, Any]]:
    """Figures named and made as by `retrieval_figures`; `n` is the number of images, or of captions.

    Args:
        images: N images.
        batch_size: see `AllCaptions`.
        shuffles: likewise.
        seed: of shuffles and confidence intervals.
        clusters: N, what to draw together in intervals: the image's patient, or the image. Its captions go with it.
    """
    alike = CaptionedImages(
        torch.ones(len(images.image), 1), torch.ones(len(images.text), 1), images.owner, images.groups
    )
    found, lot = (each.in_batches(batch_size, shuffles, seed) for each in (images, alike))
    among_all, lot_of_all = images.of_all(), alike.of_all()
    together = {
        "image_to_text": clusters,
        "text_to_image": [clusters[owner] for owner in images.owner.tolist()],
    }
    figures: dict[str, dict[str, Any]] = {}
    for way, own in together.items():
        for k, hits in found[way].items():
            chance = float(lot[way][k].mean())
            figures[f"top{k}_{way}"] = over_shuffles(hits, seed, own) | {"chance": chance}
        for k, hits in among_all[way].items():
            chance = float(lot_of_all[way][k].mean())
            figures[f"recall{k}_{way}"] = summarise(hits.tolist(), seed, own) | {"chance": chance}
    return figures
