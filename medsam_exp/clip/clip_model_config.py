"""transformers' description of a CLIP (`config.json`), as open_clip would describe the same network."""

from collections.abc import Mapping
from typing import Any

from medsam_exp.types import UserError

OPENAI_VOCABULARY = 49408
_ACTIVATIONS = {"quick_gelu": True, "gelu": False}
_EPS = 1e-5
"""Of layer norms, where nothing else is said; PyTorch's and so open_clip's own."""
_LEGACY_EOS = 2
"""What OpenAI's ports wrongly say ends a text; transformers then reads the highest token, as open_clip does."""


def open_clip_description(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """open_clip's `model_cfg` of a network that transformers' `CLIPConfig` describes.

    Args:
        config: content of the file.
        where: the file, to be named in errors.

    Raises:
        UserError: something is missing, or open_clip cannot compute what transformers does.
    """
    try:
        vision, text = config["vision_config"], config["text_config"]
        activations = {one.get("hidden_act", "quick_gelu") for one in (vision, text)}
        vocabulary = text.get("vocab_size", OPENAI_VOCABULARY)
        cfg = {
            "embed_dim": config["projection_dim"],
            "quick_gelu": _ACTIVATIONS.get(next(iter(activations))),
            "vision_cfg": {
                **_sizes(vision, width=768, layers=12, heads=12),
                "image_size": vision.get("image_size", 224),
                "patch_size": vision.get("patch_size", 32),
            },
            "text_cfg": {
                **_sizes(text, width=512, layers=12, heads=8),
                "context_length": text.get("max_position_embeddings", 77),
                "vocab_size": vocabulary,
            },
        }
        heads = cfg["vision_cfg"].pop("heads")
        cfg["vision_cfg"]["head_width"] = cfg["vision_cfg"]["width"] // heads
    except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise UserError(f"{where} does not describe a CLIP of transformers' ({error!r}).") from error
    if len(activations) > 1 or cfg["quick_gelu"] is None:
        raise UserError(
            f"{where}: hidden_act is {' and '.join(sorted(map(str, activations)))}, but a CLIP has quick_gelu or gelu, "
            "the same in both towers."
        )
    if vocabulary != OPENAI_VOCABULARY or text.get("eos_token_id", 49407) not in (_LEGACY_EOS, 49407):
        raise UserError(
            f"{where}: text_config is not of OpenAI's vocabulary ({OPENAI_VOCABULARY} tokens, the last one ends a "
            "text); convert the model to a folder with open_clip_config.json."
        )
    return cfg


def _sizes(tower: Mapping[str, Any], *, width: int, layers: int, heads: int) -> dict[str, Any]:
    width = tower.get("hidden_size", width)
    sizes: dict[str, Any] = {
        "width": width,
        "layers": tower.get("num_hidden_layers", layers),
        "heads": tower.get("num_attention_heads", heads),
        "mlp_ratio": tower.get("intermediate_size", 4 * width) / width,
    }
    if (eps := tower.get("layer_norm_eps", _EPS)) != _EPS:
        sizes["norm_kwargs"] = {"eps": eps}
    return sizes
