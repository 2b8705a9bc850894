"""Masks of batches of images from texts alone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from medsam_exp.runtime.tensor_batch import TensorBatch
from medsam_exp.text_segmenter.segmenter import TextMask, TextSegmenter
from medsam_exp.types import RGBImage


@dataclass(frozen=True)
class PreparedImages(TensorBatch):
    """Images, each in the form of every network that sees it; they go through one by one.

    Attributes:
        ids: of samples.
        sizes: (H, W) of the original frames, one per id.
        inputs: of `TextSegmenter.preprocess`, one per id.
    """

    ids: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    inputs: tuple[tuple[Tensor, ...], ...]


def prepare_images(
    read: Callable[[str], RGBImage], segmenter: TextSegmenter, ids: Sequence[str]
) -> PreparedImages:
    """Read images by id, and prepare them for a segmenter."""
    images = [read(sample_id) for sample_id in ids]
    sizes = tuple((image.shape[0], image.shape[1]) for image in images)
    return PreparedImages(tuple(ids), sizes, tuple(segmenter.preprocess(image) for image in images))


def text_masks(
    segmenter: TextSegmenter, texts: Mapping[str, Sequence[str]], batch: PreparedImages
) -> Iterator[tuple[str, TextMask]]:
    """Each sample's id and answer to its texts.

    Raises:
        UserError: an answer is not finite; comes after those of the images before it.
    """
    for sample_id, size, inputs in zip(batch.ids, batch.sizes, batch.inputs, strict=True):
        yield sample_id, segmenter.segment(inputs, texts[sample_id], size)


def text_presence(
    segmenter: TextSegmenter, texts: Mapping[str, Mapping[str, Sequence[str]]], batch: PreparedImages
) -> Iterator[tuple[str, dict[str, float]]]:
    """Each sample's id and, by label, the presence in [0, 1] of its texts.

    Raises:
        UserError: an answer is not finite; comes after those of the images before it.
    """
    for sample_id, size, inputs in zip(batch.ids, batch.sizes, batch.inputs, strict=True):
        yield sample_id, segmenter.presence(inputs, texts[sample_id], size)
