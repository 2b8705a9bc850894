"""OpenAI's CLIPs were trained with another activation than open_clip's networks of the same name have: QuickGELU.

Weights fit either network, and embeddings differ (https://github.com/mlfoundations/open_clip, "QuickGELU").
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
from open_clip.pretrained import get_pretrained_cfg

from medsam_exp.runtime.checkpoint.torchscript import is_torchscript

_SUFFIX = "-quickgelu"
_TRANSFORMERS_FILES = ("model.safetensors", "pytorch_model.bin")


def activation_problem(
    name: str, model_cfg: Mapping[str, Any], tag: str | None, path: Path | None
) -> str | None:
    """One sentence that says which network to choose instead, if weights are known to be of another activation.

    Args:
        name: of one of open_clip's networks.
        model_cfg: its description.
        tag: of the weights, if they have one.
        path: of the weights, if they are there.
    """
    trained = _trained_with_quick_gelu(name, tag, path)
    if trained is None or trained == bool(model_cfg.get("quick_gelu", False)):
        return None
    other = f"{name}{_SUFFIX}" if trained else name.removesuffix(_SUFFIX)
    if other == name or other not in open_clip.list_models():
        return None
    activations = ("QuickGELU", "GELU") if trained else ("GELU", "QuickGELU")
    return (
        f"the weights {tag or path} were trained with {activations[0]}, but clip.model={name} computes "
        f"{activations[1]}; set clip.model={other}."
    )


def _trained_with_quick_gelu(name: str, tag: str | None, path: Path | None) -> bool | None:
    """Whether weights were trained with QuickGELU, by their tag, kind of archive, or the config.json beside them."""
    if tag is not None:
        return get_pretrained_cfg(name, tag).get("quick_gelu") or None
    if path is None:
        return None
    if is_torchscript(path):
        return True  # as OpenAI published all of its CLIPs
    config = path.with_name("config.json")
    if path.name not in _TRANSFORMERS_FILES or not config.is_file():
        return None
    try:
        vision = json.loads(config.read_text(encoding="utf-8"))["vision_config"]
        return {"quick_gelu": True, "gelu": False}.get(vision.get("hidden_act", "quick_gelu"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
