"""SAM as the pipeline uses it: preprocess and encode an image once, decode prompts as often as wanted."""

import torch
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from medsam_exp.sam.attention import use_fused_attention
from medsam_exp.types import Prompts, RGBImage, UserError

PIXEL_MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
PIXEL_STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
PROMPTS_AT_ONCE = 16
"""The decoder works on a copy of the image embedding for each prompt: hundreds would fill the memory."""


class SamModel(nn.Module):
    """Meta's networks with fused attention; numbers equal those of `segment_anything.SamPredictor`.

    The *input frame* is the network's square of S x S pixels: the image with its longer side resized to S, in
    the upper left corner, zeros elsewhere. g is the side of the encoder's grid (S / patch), C its channels.

    Args:
        sam: gives its three networks over; the keys of the state dict stay Meta's.
    """

    mask_threshold = 0.0

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        use_fused_attention(sam.image_encoder)
        self.image_encoder = sam.image_encoder
        self.prompt_encoder = sam.prompt_encoder
        self.mask_decoder = sam.mask_decoder
        self.image_size: int = sam.image_encoder.img_size
        self._resize = ResizeLongestSide(self.image_size)

    def preprocess(self, image: RGBImage) -> Tensor:
        """Resize the longer side, normalise, pad at the right and the bottom.

        Args:
            image: (H, W, 3) uint8 RGB, original frame.

        Returns:
            (3, S, S) float32 on the CPU, input frame.

        Raises:
            UserError: the image is so elongated that its short side would vanish.
        """
        if 0 in self._input_size(image.shape[:2]):
            raise UserError(
                f"An image of {image.shape[0]} x {image.shape[1]} pixels is too elongated for SAM at "
                f"{self.image_size} pixels: crop it."
            )
        pixels = torch.as_tensor(self._resize.apply_image(image)).permute(2, 0, 1).contiguous()
        normalised = (pixels - PIXEL_MEAN) / PIXEL_STD
        height, width = pixels.shape[1:]
        return pad(normalised, (0, self.image_size - width, 0, self.image_size - height))

    def encode(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, S, S), input frame; returns (B, C, g, g)."""
        return self.image_encoder(images)

    @torch.no_grad()
    def decode(
        self, image_embedding: Tensor, prompts: Prompts, original_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Turn the visual prompts of one image into one mask each.

        Always in float32, whatever the Trainer's precision: decoding is cheap, and it draws the border.

        Args:
            image_embedding: (C, g, g) of the image.
            prompts: N prompts, original frame.
            original_size: (H, W) of the image.

        Returns:
            Mask logits (N, H, W) float32, original frame, foreground above `mask_threshold`; and the IoU (N,)
            float32 that the network itself expects of each mask.
        """
        device, count = image_embedding.device, len(prompts)
        masks = torch.empty((count, *original_size), device=device)
        iou_predictions = torch.empty(count, device=device)
        boxes, coords, labels = self._in_input_frame(prompts, original_size, device)
        with torch.autocast(device.type, enabled=False):
            for start in range(0, count, PROMPTS_AT_ONCE):
                some = slice(start, min(start + PROMPTS_AT_ONCE, count))
                low_res, iou = self.decode_low_res(
                    image_embedding.float().expand(some.stop - start, -1, -1, -1),
                    None if boxes is None else boxes[some],
                    None if coords is None else coords[some],
                    None if labels is None else labels[some],
                )
                masks[some] = self._in_original_frame(low_res, original_size)[:, 0]
                iou_predictions[some] = iou[:, 0]
        return masks, iou_predictions

    def decode_low_res(
        self,
        image_embeddings: Tensor,
        boxes: Tensor | None,
        points: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Turn one prompt per image into one mask per image, differentiably.

        Args:
            image_embeddings: (B, C, g, g).
            boxes: (B, 4) float x0, y0, x1, y1 in pixels of the input frame. Or None.
            points: (B, P, 2) float x, y in pixels of the input frame. Or None.
            labels: (B, P) 1 foreground, 0 background, -1 no point. Or None.

        Returns:
            Mask logits (B, 1, 4g, 4g) float32 over the input frame, and predicted IoU (B, 1) float32.
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
            multimask_output=False,
        )
        return logits.float(), iou_predictions.float()

    def _input_size(self, original_size: tuple[int, ...]) -> tuple[int, int]:
        """(height, width) of the image inside the input frame."""
        height, width = self._resize.get_preprocess_shape(*original_size, self.image_size)
        return height, width

    def _in_input_frame(
        self, prompts: Prompts, original_size: tuple[int, int], device: torch.device
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Boxes (N, 4), point coordinates (N, P, 2) and labels (N, P) as the prompt encoder takes them."""
        boxes, coords, labels = prompts.boxes_xyxy, prompts.point_coords, prompts.point_labels
        if boxes is not None:
            boxes = self._resize.apply_boxes(boxes, original_size)
        if coords is not None:
            coords = self._resize.apply_coords(coords, original_size)
        return (
            None if boxes is None else torch.as_tensor(boxes, dtype=torch.float32, device=device),
            None if coords is None else torch.as_tensor(coords, dtype=torch.float32, device=device),
            None if labels is None else torch.as_tensor(labels, device=device),
        )

    def _in_original_frame(self, low_res: Tensor, original_size: tuple[int, int]) -> Tensor:
        """Logits (N, 1, 4g, 4g) of the padded square as (N, 1, H, W) of the image."""
        square = (self.image_size, self.image_size)
        height, width = self._input_size(original_size)
        padded = interpolate(low_res, square, mode="bilinear", align_corners=False)
        return interpolate(padded[..., :height, :width], original_size, mode="bilinear", align_corners=False)
