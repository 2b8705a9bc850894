"""Retrieval in which any caption of an image is right, over all images and all captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from medsam_exp.metrics.clusters import patients_part, picked
from medsam_exp.metrics.retrieval import CaptionedImages, caption_groups, retrieval_figures
from medsam_exp.types import PairSource, RGBImage

if TYPE_CHECKING:
    from medsam_exp.runtime.digests import FileDigests


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
        figures = retrieval_figures(
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
