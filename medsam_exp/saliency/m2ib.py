"""M2IB: what a text needs from an image, by an information bottleneck inside the vision tower (Wang 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from medsam_exp.clip.capabilities import Capability
from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.bottleneck import Bottleneck, capacity, mean_similarity
from medsam_exp.saliency.method import SaliencyMethod, frozen


@dataclass(frozen=True, kw_only=True)
class M2IB(Bottleneck, SaliencyMethod):
    """Multi-modal information bottleneck (MedCLIP-SAMv2, eq. 16).

    Noise replaces as much of the tokens after `layer` as the match of image and text allows; the information
    that must stay is the saliency. For a token x, with lambda = sigmoid(alpha) for each token and channel:

    - bottleneck: z = lambda x + (1 - lambda) e, e standard normal;
    - capacity: KL(N(lambda x, (1 - lambda)^2) || N(0, 1))
      = ((lambda x)^2 + (1 - lambda)^2 - 1) / 2 - log(1 - lambda);
    - minimised over alpha by Adam: beta mean(capacity) - mean over noise samples of cos(text, image(z)).

    Args:
        layer: 0-based vision block after which the bottleneck sits; None for the network's `saliency_layer`.

    The other arguments are those of `Bottleneck`.

    Example:
        >>> import torch
        >>> from medsam_exp import M2IB, PhantomDataset, load_clip
        >>> clip, scans = load_clip("tiny"), PhantomDataset(seed=2, count=1)
        >>> scan = scans.samples[0]
        >>> images = clip.preprocess(scans.read_image(scan.id))[None]
        >>> texts = clip.encode_text(clip.tokenize([scan.description]))
        >>> method = M2IB(layer=3, beta=0.1, steps=2, noise_samples=1)
        >>> (relevance,) = method(clip, images, texts, [torch.Generator().manual_seed(0)])
        >>> method.geometry(clip).to_original_frame(relevance, (192, 216)).shape
        (192, 216)
    """

    needs: ClassVar[Capability | None] = "tokens"
    group: ClassVar[str] = "saliency"
    layer: int | None

    def __call__(
        self, clip: ClipModel, images: Tensor, text_embedding: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """Relevance (B, gh, gw) float32 >= 0 in nats, summed over channels; see `SaliencyMethod`.

        Images do not influence each other: each has its own alpha and noise, and objectives are summed.
        """
        if not len(images) == len(text_embedding) == len(generators):
            raise ValueError("each image needs one text embedding and one generator")
        clip.require(self.needs, "M2IB")
        layer = clip.saliency_layer if self.layer is None else self.layer
        with frozen(clip), torch.no_grad():
            tokens = clip.vision_prefix(images, layer)
            signal = tokens.float()
            device = signal.device.type
            dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else tokens.dtype

            def objective(alpha: Tensor, mixed: Tensor) -> Tensor:
                embedding = clip.vision_suffix(mixed.flatten(0, 1).to(dtype), layer)
                compression = capacity(alpha, signal).mean(dim=(1, 2))
                return self.beta * compression - mean_similarity(text_embedding, embedding)

            relevance = capacity(self.optimize(signal, generators, objective), signal).sum(dim=-1)
            result: Tensor = relevance[:, clip.prefix_tokens :].unflatten(1, clip.grid)
            return result
