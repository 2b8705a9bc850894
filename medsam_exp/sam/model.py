"""SAM as the pipeline uses it: preprocess and encode an image once, decode prompts as often as wanted."""

from collections.abc import Iterator

import torch
from segment_anything.modeling import Sam
from torch import Tensor, nn

from medsam_exp.sam.attention import use_fused_attention
from medsam_exp.sam.framing import Framing, LongestSide
from medsam_exp.types import Prompts, RGBImage, UserError

PROMPTS_AT_ONCE = 16
"""The decoder works on a copy of the image embedding for each prompt: hundreds would fill the memory."""


class SamModel(nn.Module):
    """Meta's networks with fused attention; numbers equal those of `segment_anything.SamPredictor`.

    The *input frame* is the network's square of S x S pixels; how an image gets there and a mask back is its
    family's own `framing`. g is the side of the encoder's grid (S / patch), C its channels, M the masks of one
    prompt: one answer, or three proposals (whole, part, part of a part).

    Args:
        sam: gives its three networks over; the keys of the state dict stay Meta's.
        framing: of its family; None is Meta's.

    Example:
        >>> import torch
        >>> from medsam_exp import PhantomDataset, load_sam
        >>> sam, scans = load_sam("tiny"), PhantomDataset(seed=2, count=1)
        >>> image = sam.preprocess(scans.read_image(scans.samples[0].id))
        >>> with torch.no_grad():
        ...     tuple(sam.encode(image[None]).shape)
        (1, 128, 16, 16)
    """

    def __init__(self, sam: Sam, framing: Framing | None = None) -> None:
        super().__init__()
        use_fused_attention(sam.image_encoder)
        self.image_encoder = sam.image_encoder
        self.prompt_encoder = sam.prompt_encoder
        self.mask_decoder = sam.mask_decoder
        self.image_size: int = sam.image_encoder.img_size
        self.framing = framing or LongestSide(self.image_size)

    def preprocess(self, image: RGBImage) -> Tensor:
        """Bring an (H, W, 3) uint8 RGB image into the input frame: (3, S, S) float32 on the CPU.

        Raises:
            UserError: the image cannot be brought there.
        """
        return self.framing.preprocess(image)

    def encode(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, S, S), input frame; returns (B, C, g, g)."""
        result: Tensor = self.image_encoder(images.to(next(self.image_encoder.parameters()).dtype))
        return result

    @torch.no_grad()
    def decode(
        self,
        image_embedding: Tensor,
        prompts: Prompts,
        original_size: tuple[int, int],
        multimask: bool = False,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Turn the visual prompts of one image into masks, one prompt after the other.

        Only one prompt's masks exist in the original frame at a time: hundreds of prompts on a large image
        would fill the memory. Always in float32, whatever the Trainer's precision: decoding is cheap, and it
        draws the border.

        Args:
            image_embedding: (C, g, g) of the image.
            prompts: N prompts, original frame.
            original_size: (H, W) of the image.
            multimask: ask for three proposals instead of one answer.

        Yields:
            N times: mask logits (M, H, W) float32, original frame, foreground above 0; and the IoU (M,) float32
            that the network itself expects of each mask.

        Raises:
            UserError: there are points, and the network understands boxes only.
        """
        device, count = image_embedding.device, len(prompts)
        parts = self._in_input_frame(prompts, original_size, device)
        for start in range(0, count, PROMPTS_AT_ONCE):
            some = slice(start, min(start + PROMPTS_AT_ONCE, count))
            boxes, points, labels = (None if part is None else part[some] for part in parts)
            images = image_embedding.float().expand(some.stop - start, -1, -1, -1)
            with torch.autocast(device.type, enabled=False):
                low_res, iou_predictions = self.decode_low_res(images, boxes, points, labels, multimask)
            for one, iou in zip(low_res, iou_predictions, strict=True):
                yield self.framing.to_original(one[None], original_size)[0], iou

    def decode_low_res(
        self,
        image_embeddings: Tensor,
        boxes: Tensor | None,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        multimask: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Turn one prompt per image into M masks per image, differentiably.

        Args:
            image_embeddings: (B, C, g, g).
            boxes: (B, 4) float x0, y0, x1, y1 in pixels of the input frame. Or None.
            points: (B, P, 2) float x, y in pixels of the input frame. Or None.
            labels: (B, P) 1 foreground, 0 background, -1 no point. Or None.
            multimask: M is 3 instead of 1.

        Returns:
            Mask logits (B, M, 4g, 4g) float32 over the input frame, and predicted IoU (B, M) float32.
        """
        # In half precision a coordinate would be off by pixels.
        with torch.autocast(image_embeddings.device.type, enabled=False):
            sparse, dense = self.prompt_encoder(
                points=None if points is None else (points, labels), boxes=boxes, masks=None
            )
            image_pe = self.prompt_encoder.get_dense_pe()
        # The decoder repeats the embedding of one image for all prompts and adds `dense` to it; several
        # images therefore travel inside `dense`.
        logits, iou_predictions = self.mask_decoder(
            image_embeddings=torch.zeros_like(image_embeddings[:1]),
            image_pe=image_pe,
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense + image_embeddings,
            multimask_output=multimask,
        )
        return logits.float(), iou_predictions.float()

    def _in_input_frame(
        self, prompts: Prompts, original_size: tuple[int, int], device: torch.device
    ) -> list[Tensor | None]:
        """Boxes (N, 4), point coordinates (N, P, 2) and labels (N, P) as the prompt encoder takes them."""
        boxes, coords, labels = prompts.boxes_xyxy, prompts.point_coords, prompts.point_labels
        if coords is not None and not self.framing.takes_points:
            raise UserError("This SAM understands boxes only, not points: choose prompt=box, or another sam.")
        if boxes is not None:
            boxes = self.framing.to_input(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)
        if coords is not None:
            coords = self.framing.to_input(coords, original_size)
        typed = ((boxes, torch.float32), (coords, torch.float32), (labels, torch.int64))
        return [
            None if part is None else torch.as_tensor(part, dtype=kind, device=device) for part, kind in typed
        ]
