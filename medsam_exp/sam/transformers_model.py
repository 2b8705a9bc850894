"""transformers' promptable networks as `PromptableModel`: the same questions and answers for all of them."""

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from medsam_exp.sam.framing import Framing
from medsam_exp.sam.promptable import PromptableModel


class TransformersModel(PromptableModel):
    """A network of transformers that takes boxes and points; what its image's embedding is, a subclass says.

    Numbers equal those of the network's own `forward`. This module imports nothing of transformers.

    Args:
        sam: the network; it has a `vision_encoder`, a `prompt_encoder` and a `mask_decoder`.
        framing: of its family.
    """

    def __init__(self, sam: Any, framing: Framing) -> None:
        super().__init__(framing, self.side_of(sam))
        self.sam = sam

    @staticmethod
    def side_of(network: Any) -> int:
        """S of the network."""
        side: int = network.prompt_encoder.input_image_size
        return side

    @property
    def network(self) -> nn.Module:
        """Transformers' network."""
        network: nn.Module = self.sam
        return network

    @property
    def encoder(self) -> nn.Module:
        """The image encoder."""
        encoder: nn.Module = self.sam.vision_encoder
        return encoder

    @property
    def untrained(self) -> tuple[nn.Module, ...]:
        """What reads masks as prompts."""
        return (self.sam.prompt_encoder.mask_embed,)

    @abstractmethod
    def _image_of(self, embeddings: Tensor) -> dict[str, Any]:
        """Arguments of the network's `forward` for embeddings (B, C, g, g) float32."""

    def _encoded(self, images: Tensor) -> Any:
        """What the image encoder says of images (B, 3, S, S), in its own precision."""
        return self.encoder(images.to(next(self.encoder.parameters()).dtype))

    def decode_low_res(
        self,
        image_embeddings: Tensor,
        boxes: Tensor | None,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        multimask: bool = False,
        masks: None = None,  # type: ignore[override]  # `decode` refuses them
    ) -> tuple[Tensor, Tensor]:
        """Turn N prompts into M masks each; see `PromptableModel`."""
        prompts = {"input_boxes": boxes, "input_points": points, "input_labels": labels}
        by_image = {
            name: None if part is None else part.unflatten(0, (len(image_embeddings), -1))
            for name, part in prompts.items()
        }
        with torch.autocast(image_embeddings.device.type, enabled=False):
            image = self._image_of(image_embeddings.float())
            found = self.sam(**image, **by_image, multimask_output=multimask)
        return found.pred_masks.flatten(0, 1).float(), found.iou_scores.flatten(0, 1).float()


def share_positions(network: Any) -> nn.Module:
    """Make of a network's two random matrices of positions, for images and for prompts, one and the same."""
    positions = network.prompt_encoder.shared_embedding.positional_embedding
    positions.data.copy_(network.shared_image_embedding.positional_embedding)
    shared: nn.Module = network
    return shared
