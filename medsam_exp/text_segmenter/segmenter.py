"""What every text-prompted segmenter is: an image is prepared, encoded once, and asked for each of its texts."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from medsam_exp.clip.model import Tokenizer
from medsam_exp.runtime.finite import all_finite, not_finite
from medsam_exp.runtime.wording import first_line
from medsam_exp.types import RGBImage, UserError


@dataclass(frozen=True)
class TextMask:
    """Answer to one image and one or more texts.

    Attributes:
        mask: (H, W) bool, original frame.
        presence: in [0, 1], how sure the network is that the image shows what the text asks for.
        boxes_xyxy: N boxes x0, y0, x1, y1 in pixels of the original frame, of networks that find objects.
        scores: N, in [0, 1], of these boxes.
    """

    mask: Tensor
    presence: float
    boxes_xyxy: list[list[float]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


class TextSegmenter(nn.Module, ABC):
    """A network that answers an image and a text with a mask.

    Images go through one by one, so that no answer depends on the others of a batch.

    Args:
        tokenizer: texts to token ids, cut to the network's context.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    @abstractmethod
    def preprocess(self, image: RGBImage) -> tuple[Tensor, ...]:
        """Bring an (H, W, 3) uint8 RGB image into the form of each network that sees it; called in threads."""

    def encode(self, inputs: tuple[Tensor, ...]) -> Any:
        """What all texts of an image share; `inputs` are those of `preprocess`, on the network's device."""
        return inputs

    @abstractmethod
    def answer(self, features: Any, text: str, size: tuple[int, int]) -> TextMask:
        """Answer one text about the image of (H, W) pixels that `features`, of `encode`, are of."""

    @torch.no_grad()
    def segment(self, inputs: tuple[Tensor, ...], texts: Sequence[str], size: tuple[int, int]) -> TextMask:
        """Answer the texts of one image together: pixels that at least half of them claim, and their mean presence.

        Args:
            inputs: of `preprocess`, on the network's device.
            texts: at least one.
            size: (H, W) of the original frame.

        Raises:
            UserError: the answer is not finite.
        """
        features = self.encode(inputs)
        answers = [self.answer(features, text, size) for text in texts]
        votes = torch.stack([answer.mask for answer in answers]).float().mean(0)
        return TextMask(
            votes >= 0.5,
            fmean(answer.presence for answer in answers),
            [box for answer in answers for box in answer.boxes_xyxy],
            [score for answer in answers for score in answer.scores],
        )

    @torch.no_grad()
    def presence(
        self, inputs: tuple[Tensor, ...], texts: Mapping[str, Sequence[str]], size: tuple[int, int]
    ) -> dict[str, float]:
        """Presence by label, as `segment` has it; the image is encoded once for all texts.

        Args:
            inputs: of `preprocess`, on the network's device.
            texts: at least one for each label.
            size: (H, W) of the original frame.

        Raises:
            UserError: an answer is not finite.
        """
        features = self.encode(inputs)
        return {
            label: fmean(self.answer(features, text, size).presence for text in own)
            for label, own in texts.items()
        }


def pixel_values(image_processor: Any, image: RGBImage, network: nn.Module) -> Tensor:
    """(3, h, w) float32 of an (H, W, 3) uint8 image, by one of transformers' image processors.

    Args:
        image_processor: of the network.
        image: to prepare.
        network: of transformers, which knows the folder that both were loaded from.

    Raises:
        UserError: what the folder says of it does not prepare an image.
    """
    try:
        # Of a tiny image the processor would guess which axis holds the channels.
        made: Tensor = image_processor(images=image, input_data_format="channels_last", return_tensors="pt")[
            "pixel_values"
        ][0]
        if made.ndim != 3 or len(made) != 3 or not made.is_floating_point():
            raise ValueError(f"it makes {tuple(made.shape)} of {made.dtype}")
    except MemoryError:
        raise
    except Exception as error:  # values of the wrong kind fail in the processor's own ways
        raise UserError(
            f"text_segmenter.model={network.name_or_path} has a preprocessor_config.json that prepares no image "
            f"({first_line(error)}); take the hub's folder whole."
        ) from error
    return made


def refuse_broken(values: Tensor, what: str, network: nn.Module) -> None:
    """Refuse an answer that is not finite.

    Raises:
        UserError: says what of which network.
    """
    if not all_finite(values):
        raise not_finite(what, type(network).__name__)
