"""Weights of promptable networks between transformers' names and their publishers'.

transformers' conversion renames modules and stores the one random matrix of positions twice. Its `SamModel` computes
what segment-anything does, but for the epsilon of its decoder's layer norms: 1e-6, where SAM was trained with 1e-5,
which moves logits in their fourth or fifth digit.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

Rules = Sequence[tuple[str, str]]
"""A pattern in transformers' name, and what stands there in the publisher's; later rules see what earlier ones left."""
_MATRIX = "pe_layer.positional_encoding_gaussian_matrix"
_OF_SAM: Rules = (
    (r"^vision_encoder\.", "image_encoder."),
    (r"^(image_encoder)\.layers\.", r"\1.blocks."),
    (r"^(image_encoder\.patch_embed)\.projection\.", r"\1.proj."),
    (r"^(image_encoder\.neck)\.conv1\.", r"\1.0."),
    (r"^(image_encoder\.neck)\.layer_norm1\.", r"\1.1."),
    (r"^(image_encoder\.neck)\.conv2\.", r"\1.2."),
    (r"^(image_encoder\.neck)\.layer_norm2\.", r"\1.3."),
    (r"^prompt_encoder\.shared_embedding\.positional_embedding$", f"prompt_encoder.{_MATRIX}"),
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
"""Of SAM, and of those that came of it."""
_TWICE = "shared_image_embedding.positional_embedding"
_ONCE = "prompt_encoder.shared_embedding.positional_embedding"
"""The matrix of positions, for images and for prompts: one and the same."""
_HEAD = re.compile(r"^(mask_decoder\.(?:\w+_head|hf_mlp|output_hypernetworks_mlps\.\d+))\.(.*)")
"""The decoder's small perceptrons: the publisher counts their layers, transformers names the first and the last."""


def is_huggingface(names: Iterable[str]) -> bool:
    """Whether these are transformers' names, at least in part."""
    return any(name.startswith(("vision_encoder.", "shared_image_embedding.")) for name in names)


def published_names(names: Iterable[str], own_rules: Rules = ()) -> dict[str, str]:
    """The publisher's name of each of transformers'; unknown names stay.

    Args:
        names: transformers'.
        own_rules: of a network that came of SAM, for what is not SAM's; they go first.
    """
    rules = [(re.compile(pattern), own) for pattern, own in (*own_rules, *_OF_SAM)]
    renamed = {}
    for name in names:
        own = _ONCE if name == _TWICE else name
        for pattern, replacement in rules:
            own = pattern.sub(replacement, own)
        renamed[name] = own
    depths = _depths(renamed.values())
    return {name: _numbered(own, depths) for name, own in renamed.items()}


def from_huggingface(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to segment-anything's names; unknown names stay."""
    return {own: weights[name] for name, own in published_names(weights).items()}


def to_huggingface(weights: Mapping[str, Tensor], published: Mapping[str, str]) -> dict[str, Tensor]:
    """Rename a publisher's weights to transformers' names; unknown names stay.

    Args:
        weights: by the publisher's names.
        published: the publisher's name of each of the network's.
    """
    known = {name: weights[own] for name, own in published.items() if own in weights}
    return known | {own: value for own, value in weights.items() if own not in set(published.values())}


def with_both_positions(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights by transformers' names; of the matrix that is there twice a file may hold one copy."""
    copy = weights.get(_ONCE, weights.get(_TWICE))
    return dict(weights) if copy is None else {_ONCE: copy, _TWICE: copy, **weights}


def _numbered(name: str, depths: Mapping[str, int]) -> str:
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
