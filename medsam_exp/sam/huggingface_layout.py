"""SAM's weights as transformers' `SamModel` names them, under segment-anything's names.

transformers' conversion renames modules and stores the one random matrix of positions twice. It computes what
segment-anything does, but for the epsilon of its decoder's layer norms: 1e-6, where SAM was trained with 1e-5, which
moves logits in their fourth or fifth digit.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

_RULES = tuple(
    (re.compile(pattern), own)
    for pattern, own in (
        (r"^vision_encoder\.", "image_encoder."),
        (r"^(image_encoder)\.layers\.", r"\1.blocks."),
        (r"^(image_encoder\.patch_embed)\.projection\.", r"\1.proj."),
        (r"^(image_encoder\.neck)\.conv1\.", r"\1.0."),
        (r"^(image_encoder\.neck)\.layer_norm1\.", r"\1.1."),
        (r"^(image_encoder\.neck)\.conv2\.", r"\1.2."),
        (r"^(image_encoder\.neck)\.layer_norm2\.", r"\1.3."),
        (r"^prompt_encoder\.shared_embedding\.positional_embedding$", "prompt_encoder.pe_layer.#"),
        (r"^prompt_encoder\.point_embed\.", "prompt_encoder.point_embeddings."),
        (r"^prompt_encoder\.mask_embed\.conv1\.", "prompt_encoder.mask_downscaling.0."),
        (r"^prompt_encoder\.mask_embed\.layer_norm1\.", "prompt_encoder.mask_downscaling.1."),
        (r"^prompt_encoder\.mask_embed\.conv2\.", "prompt_encoder.mask_downscaling.3."),
        (r"^prompt_encoder\.mask_embed\.layer_norm2\.", "prompt_encoder.mask_downscaling.4."),
        (r"^prompt_encoder\.mask_embed\.conv3\.", "prompt_encoder.mask_downscaling.6."),
        (r"^mask_decoder\.upscale_conv1\.", "mask_decoder.output_upscaling.0."),
        (r"^mask_decoder\.upscale_layer_norm\.", "mask_decoder.output_upscaling.1."),
        (r"^mask_decoder\.upscale_conv2\.", "mask_decoder.output_upscaling.3."),
        (r"\.layer_norm(\d|_final_attn)\.", r".norm\1."),
    )
)
"""A pattern in transformers' name, and what stands there in segment-anything's; # is the matrix's own name."""
_MATRIX = "positional_encoding_gaussian_matrix"
_TWICE = "shared_image_embedding.positional_embedding"
"""The matrix of positions once more, for images; transformers ties it to the prompt encoder's."""
_HEAD = re.compile(r"^(mask_decoder\.(?:iou_prediction_head|output_hypernetworks_mlps\.\d+))\.(.*)")


def is_huggingface(names: Iterable[str]) -> bool:
    """Whether these are transformers' names, at least in part."""
    return any(name.startswith(("vision_encoder.", "shared_image_embedding.")) for name in names)


def from_huggingface(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to segment-anything's names; unknown names stay."""
    depths = _depths(weights)
    result = {_renamed(name, depths): value for name, value in weights.items() if name != _TWICE}
    matrix = f"prompt_encoder.pe_layer.{_MATRIX}"
    if _TWICE in weights and matrix not in result:  # a file stores tied weights once, under either name
        result[matrix] = weights[_TWICE]
    return result


def _renamed(name: str, depths: Mapping[str, int]) -> str:
    for pattern, own in _RULES:
        name = pattern.sub(own.replace("#", _MATRIX), name)
    if not (match := _HEAD.match(name)):
        return name
    head, rest = match.groups()
    rest = re.sub(r"^layers\.(\d+)\.", lambda found: f"layers.{int(found[1]) + 1}.", rest)
    rest = rest.replace("proj_in.", "layers.0.").replace("proj_out.", f"layers.{depths[head] - 1}.")
    return f"{head}.{rest}"


def _depths(names: Iterable[str]) -> dict[str, int]:
    """Layers of each small perceptron of the decoder: the first, those between, and the last."""
    layers: dict[str, set[str]] = {}
    for name in names:
        if match := _HEAD.match(name):
            layers.setdefault(match[1], set()).add(match[2].rpartition(".")[0])
    return {head: len(own) for head, own in layers.items()}
