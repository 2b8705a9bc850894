"""Predictions of nnU-Net's networks, image by image: prepared once, predicted by every member of an ensemble."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medsam_exp.nnunet.bfloat16 import compute_in_bfloat16
from medsam_exp.nnunet.checkpoint import read_checkpoint
from medsam_exp.nnunet.results import ResultsFolder, make_predictor
from medsam_exp.runtime.finite import refuse_broken_weights
from medsam_exp.runtime.foreign import naming_the_file
from medsam_exp.types import RGBImage, UserError

_SPACING = (999, 1, 1)  # what nnU-Net's reader says of every 2-D image
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class PreparedImage:
    """An image as nnU-Net's network wants it.

    Attributes:
        data: (C, 1, h, w) float32: cropped to what is not zero, normalised, resampled.
        properties: nnU-Net's notes of how to get back to the original frame.
    """

    data: Tensor
    properties: dict[str, Any]

    def to(self, *_: Any, **__: Any) -> Self:
        """Stay on the CPU: nnU-Net moves a part of the image at a time."""
        return self


class Predictor:
    """nnU-Net's sliding window with mirroring, for the members of one results folder, where the network is.

    Args:
        results: network and members.
        mirroring: average the logits of mirrored images, as nnU-Net does.
        step: of the sliding window, as a share of the patch.
        precision: of the network, "32-true" or "bf16-mixed".
    """

    def __init__(
        self, results: ResultsFolder, *, mirroring: bool = True, step: float = 0.5, precision: str = "32-true"
    ) -> None:
        self.results = results
        self._nnunet = make_predictor(results, mirroring=mirroring, step=step)
        if precision == "bf16-mixed":
            compute_in_bfloat16(self.network)

    @property
    def network(self) -> torch.nn.Module:
        """The network; its weights are those of the member in use."""
        network: torch.nn.Module = self._nnunet.network
        return network

    def prepare(self, image: RGBImage) -> PreparedImage:
        """Preprocess an (H, W, 3) image; a network for gray images gets the luminance of a coloured one."""
        plans, configuration = self._nnunet.plans_manager, self._nnunet.configuration_manager
        preprocessor = configuration.preprocessor_class(verbose=False)
        properties: dict[str, Any] = {"spacing": _SPACING}
        channels, dataset_json = self._channels(image), self._nnunet.dataset_json
        with naming_the_file(
            self.results.folder, "does not say how images are prepared", "give the folder as nnU-Net wrote it"
        ):
            data, _, properties = preprocessor.run_case_npy(
                channels, None, properties, plans, configuration, dataset_json
            )
        return PreparedImage(torch.from_numpy(data), properties)

    def use(self, member: Path) -> None:
        """Load one member's weights.

        Raises:
            UserError: they are for another network, or not finite.
        """
        weights, own = read_checkpoint(member)["network_weights"], self.network.state_dict()
        alike = weights.keys() == own.keys()
        if alike:  # most tensors have several names, of which the last would be loaded last
            last_names = {tensor.data_ptr(): name for name, tensor in own.items()}.values()
            weights = {name: weights[name] for name in last_names}
        try:
            self.network.load_state_dict(weights, strict=not alike)
        except RuntimeError as error:
            raise UserError(
                f"{member} does not fit the network of {self._nnunet.plans_manager.plans_name}: "
                f"{str(error).splitlines()[-1].strip()}"
            ) from error
        tensors = dict(self.network.named_parameters()) | dict(self.network.named_buffers())
        refuse_broken_weights(tensors, "nnU-Net", member)

    def probabilities(self, image: PreparedImage) -> Tensor:
        """(K, h, w) float32 probabilities of the member in use, in the frame of the cropped image."""
        device = next(self.network.parameters()).device
        self._nnunet.device, self._nnunet.perform_everything_on_device = device, device.type == "cuda"
        configuration, properties = self._nnunet.configuration_manager, image.properties
        logits = self._nnunet.predict_sliding_window_return_logits(image.data)
        shape = properties["shape_after_cropping_and_before_resampling"]
        if tuple(logits.shape[1:]) != tuple(shape):
            spacing = [_SPACING[axis] for axis in self._nnunet.plans_manager.transpose_forward]
            current = [spacing[0], *configuration.spacing]
            logits = configuration.resampling_fn_probabilities(logits, shape, current, spacing)
        found = self._nnunet.label_manager.apply_inference_nonlin(logits)
        return torch.as_tensor(found)[:, 0]

    def to_original(self, array: Tensor, image: PreparedImage, outside: float = 0.0) -> NDArray[np.float32]:
        """Put a map back into the original frame.

        Args:
            array: (h, w), in the frame of the cropped image.
            image: whose map it is.
            outside: fills what had been cropped away.

        Returns:
            (H, W) float32.
        """
        _, rows, columns = image.properties["bbox_used_for_cropping"]
        whole = np.full(image.properties["shape_before_cropping"][1:], outside, np.float32)
        whole[slice(*rows), slice(*columns)] = array.cpu().numpy()
        backward = self._nnunet.plans_manager.transpose_backward
        return np.ascontiguousarray(whole[None].transpose(backward)[0])

    def _channels(self, image: RGBImage) -> NDArray[np.float32]:
        """(C, 1, H, W) float32 of an (H, W, 3) image, gray where the training images were."""
        names = self._nnunet.dataset_json["channel_names"]
        if len(names) == 3:
            return image.transpose(2, 0, 1)[:, None].astype(np.float32)
        if len(names) != 1:
            raise UserError(f"{self.results.folder} wants {len(names)} channels, but images have 1 or 3")
        gray = image[..., 0]
        if (image != gray[..., None]).any():
            gray = np.round(image @ np.array(_LUMINANCE)).astype(np.uint8)
        return gray[None, None].astype(np.float32)
