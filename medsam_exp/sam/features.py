"""A SAM's image embedding as patch features, which know no text: a proxy of `medsam_exp.saliency.proxyclip`."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from medsam_exp.sam import weight_files as files
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.promptable import PromptableModel


class SamFeatures:
    """The encoder of a SAM, which sees what CLIP sees; it is loaded when it is first asked.

    ProxyCLIP's authors ask ViT-B's embedding (arXiv 2408.04883). Of networks that decode from more than one level of
    features, all levels count.

    Args:
        architecture: as for `medsam_exp.sam.load.load_sam`.
        checkpoint: likewise.
    """

    def __init__(self, architecture: str, checkpoint: str | None = None) -> None:
        self._arguments = architecture, checkpoint
        self._loaded: PromptableModel | None = None

    @staticmethod
    def weight_files(architecture: str, checkpoint: str | None = None) -> list[Path]:
        """Local files that decide the features.

        Raises:
            UserError: there is no such network, or its file is missing.
        """
        return files.weight_files(architecture, checkpoint)

    def __call__(self, pixels: Tensor, grid: tuple[int, int]) -> Tensor:
        """Features (B, gh, gw, C) float32 of images (B, 3, h, w) in [0, 1]: means of the embedding over each cell.

        Raises:
            UserError: there is no such network.
        """
        if self._loaded is None:
            self._loaded = load_sam(*self._arguments).requires_grad_(False)
        sam = self._loaded.to(pixels.device)
        bytes_ = (pixels.float() * 255).round().clamp(0, 255).to(torch.uint8)
        images = bytes_.permute(0, 2, 3, 1).cpu().numpy()
        with torch.no_grad():  # one by one, as the encoder's attention over an image takes memory
            embeddings = [
                sam.encode(sam.preprocess(image)[None].to(pixels.device)).float() for image in images
            ]
        filled = _filled(sam, (pixels.shape[2], pixels.shape[3]))
        of_image = torch.cat(embeddings)[:, :, : filled[0], : filled[1]]
        return adaptive_avg_pool2d(of_image, grid).permute(0, 2, 3, 1)


def _filled(sam: PromptableModel, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the embedding that an image of (h, w) pixels fills; the rest is padding."""
    corner = sam.framing.to_input(np.array([size[::-1]], float), size)[0]
    columns, rows = np.ceil(corner * sam.embedding_shape[1] / sam.image_size).astype(int).tolist()
    return rows, columns
