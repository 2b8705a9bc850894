"""Description of a CLIP in a folder: read, and checked before anything is built from it."""

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import timm
from open_clip.model import CLIPTextCfg, CLIPVisionCfg
from pydantic import TypeAdapter, ValidationError
from transformers import CLIPTextConfig, CLIPVisionConfig, SiglipTextConfig, SiglipVisionConfig

import medsam_exp.clip.tiny_trunk  # noqa: F401 - registers the trunk with timm
from medsam_exp.clip.folder import CONFIG, TRANSFORMERS_CONFIG, TRANSFORMERS_INPUT
from medsam_exp.clip.siglip_trunk import register_trunk, trunk_name
from medsam_exp.runtime.foreign import read_json
from medsam_exp.types import UserError

INTERPOLATIONS = ("bicubic", "bilinear")
_NEEDED = ("embed_dim", "vision_cfg", "text_cfg")
_KNOWN = {
    *_NEEDED, "quick_gelu", "custom_text", "multimodal_cfg", "init_logit_scale", "init_logit_bias",
    "nonscalar_logit_scale", "cast_dtype", "output_dict",
}  # fmt: skip
_MOST = {"layers": 1000, "vocab_size": 10_000_000}
_MOST_OF_OTHERS = 100_000
"""Numbers beyond these describe no network that there is; building it would take for ever."""
_MOST_PARAMETERS = 2e10
"""Several times the largest CLIP's."""
_MAY_BE_ZERO = (
    "pad_id",
    "eos_id",
    "mlp_ratio",
    "ls_init_value",
    "patch_dropout",
    "timm_drop",
    "timm_drop_path",
)
_VOCABULARY = 49408
_ACTIVATIONS = {"quick_gelu": True, "gelu": False}
_RESAMPLING = {"2": "bilinear", "3": "bicubic"}
"""Pillow's numbers, by which transformers' image processors say it."""
_SIGLIP_EPS, _SIGLIP_ACTIVATION = 1e-6, "gelu_pytorch_tanh"
_SIGLIP_VOCABULARIES = {
    32000: "timm/ViT-B-16-SigLIP",
    250000: "timm/ViT-B-16-SigLIP-i18n-256",
    256000: "timm/ViT-B-16-SigLIP2",
}
"""Where open_clip has the tokenizer of a vocabulary of so many words, as tokenizer.json."""
_EPS = 1e-5
"""Of layer norms, where nothing else is said; PyTorch's and so open_clip's own."""
_LEGACY_EOS = 2
"""What OpenAI's ports wrongly say ends a text; transformers then reads the highest token, as open_clip does."""
_adapter = cache(TypeAdapter)
_NEVER_NONE = ("embed_dim", "width", "layers", "heads", "mlp_ratio", "context_length", "vocab_size")


def read_description(folder: Path, model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """open_clip's `model_cfg` and `preprocess_cfg` of the CLIP in a folder, open_clip's or transformers'.

    Raises:
        UserError: the folder or its description is missing, or describes no network.
    """
    path = folder / CONFIG
    if path.is_file():
        content = read_json(path)
        content = content if isinstance(content, dict) else {}
        model_cfg, preprocess = content.get("model_cfg"), content.get("preprocess_cfg") or {}
    elif is_transformers_folder(folder):
        path = folder / TRANSFORMERS_CONFIG
        content = read_json(path)
        siglip = content["model_type"] == "siglip"
        model_cfg = (_siglip_description if siglip else _open_clip_description)(content, str(path))
        preprocess = _input_of_transformers(folder, {"mean": [0.5] * 3, "std": [0.5] * 3} if siglip else {})
    else:
        state = f"lacks {CONFIG}" if folder.is_dir() else "is not a folder"
        raise UserError(
            f"clip.model={model}: {folder} {state}; point clip.model at a folder in open_clip's layout, or at one of "
            f"transformers' CLIPModel ({TRANSFORMERS_CONFIG})."
        )
    if not isinstance(model_cfg, dict) or not set(_NEEDED) <= model_cfg.keys():
        raise UserError(
            f"{path} does not describe a network; it needs model_cfg with embed_dim, vision_cfg, text_cfg."
        )
    if problem := _problem(model_cfg) or _input_problem(preprocess):
        raise UserError(f"{path}: {problem}.")
    return model_cfg, preprocess


def is_transformers_folder(folder: Path) -> bool:
    """Whether a folder holds transformers' CLIP or SigLIP, and no description of open_clip's."""
    path = folder / TRANSFORMERS_CONFIG
    if (folder / CONFIG).is_file() or not path.is_file():
        return False
    content = read_json(path)
    return isinstance(content, dict) and content.get("model_type") in ("clip", "siglip")


def _input_of_transformers(folder: Path, defaults: dict[str, Any]) -> dict[str, Any]:
    path = folder / TRANSFORMERS_INPUT
    content = read_json(path) if path.is_file() else {}
    if not isinstance(content, dict):
        raise UserError(f"{path} does not describe a CLIP's input.")
    said = {
        "mean": content.get("image_mean"),
        "std": content.get("image_std"),
        "interpolation": _RESAMPLING.get(str(content.get("resample"))),
    }
    return defaults | {key: value for key, value in said.items() if value is not None}


def _problem(cfg: Mapping[str, Any]) -> str | None:
    """What is wrong with a `model_cfg`, with its key; None if nothing is seen."""
    if unknown := sorted(map(str, cfg.keys() - _KNOWN)):
        return f"model_cfg.{unknown[0]} is unknown"
    if problem := _value_problem("model_cfg.embed_dim", cfg["embed_dim"], int):
        return problem
    for key in ("quick_gelu", "custom_text", "nonscalar_logit_scale"):
        if not isinstance(cfg.get(key, False), bool):
            return f"model_cfg.{key} is {cfg[key]!r:.60}, but it must be true or false"
    towers = {"vision_cfg": CLIPVisionCfg, "text_cfg": CLIPTextCfg}
    for key, kind in towers.items():
        if problem := _tower_problem(f"model_cfg.{key}", cfg[key], get_type_hints(kind)):
            return problem
    name = cfg["vision_cfg"].get("timm_model_name")
    register_trunk(str(name))
    if name is not None and not timm.is_model(name):
        return f"model_cfg.vision_cfg.timm_model_name is {name!r}, which timm does not know"
    if sum(_parameters(cfg[key]) for key in towers) > _MOST_PARAMETERS:
        return "model_cfg describes a network of more than 20 billion parameters"
    return None


def _tower_problem(where: str, tower: Any, kinds: Mapping[str, Any]) -> str | None:
    if not isinstance(tower, dict):
        return f"{where} is no table of keys"
    for name, value in tower.items():
        if name not in kinds:
            return f"{where}.{name} is unknown"
        if problem := _value_problem(f"{where}.{name}", value, kinds[name]):
            return problem
    return None


def _value_problem(where: str, value: Any, kind: Any) -> str | None:
    """What is wrong with a value of a declared type: int, float, bool, str, dict, or unions and tuples of these."""
    name = where.rpartition(".")[2]
    if value is None and name not in _NEVER_NONE:
        return None
    if not _is_a(value, kind):
        wanted = kind.__name__ if isinstance(kind, type) else re.sub(r"typing\.|NoneType", "", str(kind))
        return f"{where} is {value!r:.60}, but it must be {wanted}"
    most = _MOST.get(name, _MOST_OF_OTHERS)
    for number in value if isinstance(value, list | tuple) else [value]:
        counts = isinstance(number, int | float) and not isinstance(number, bool)
        if counts and not (0 < number <= most or (number == 0 and name in _MAY_BE_ZERO)):
            return f"{where} is {value!r:.60}, but it must be above 0 and at most {most}"
    return None


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value of JSON is of a type, without being converted to it."""
    try:
        _adapter(kind).validate_python(tuple(value) if isinstance(value, list) else value, strict=True)
    except ValidationError:
        return False
    return True


def _parameters(tower: Mapping[str, Any]) -> float:
    """A transformer's parameters, roughly."""
    layers, width = tower.get("layers", 12), tower.get("width", 768)
    blocks = sum(layers) if isinstance(layers, list | tuple) else layers
    result: float = blocks * width**2 * (4 + 2 * tower.get("mlp_ratio", 4)) + width * tower.get(
        "vocab_size", 0
    )
    return result


def _input_problem(preprocess: Any) -> str | None:
    if not isinstance(preprocess, dict):
        return "preprocess_cfg is no table of keys"
    interpolation = preprocess.get("interpolation")
    if interpolation is not None and interpolation not in INTERPOLATIONS:
        return f"preprocess_cfg.interpolation is {interpolation!r:.60}, but it must be {' or '.join(INTERPOLATIONS)}"
    for name, said in (("mean", ""), ("std", " above 0")):
        values = preprocess.get(name)
        right = _is_a(values, tuple[float, float, float] | None)
        if not right or not all(math.isfinite(one) and (not said or one > 0) for one in values or ()):
            return f"preprocess_cfg.{name} is {values!r:.60}, but it must be three numbers{said}"
    return None


def _open_clip_description(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """open_clip's `model_cfg` of a network that transformers' `CLIPConfig` describes, in a file to be named in errors.

    Raises:
        UserError: something is missing, or open_clip cannot compute what transformers does.
    """
    try:
        vision = CLIPVisionConfig(**config["vision_config"])
        text = CLIPTextConfig(**config["text_config"])
        cfg = {
            "embed_dim": config["projection_dim"],
            "quick_gelu": _ACTIVATIONS.get(vision.hidden_act),
            "vision_cfg": {
                **_sizes_of(vision),
                "head_width": vision.hidden_size // vision.num_attention_heads,
                "image_size": vision.image_size,
                "patch_size": vision.patch_size,
            },
            "text_cfg": {
                **_sizes_of(text),
                "heads": text.num_attention_heads,
                "context_length": text.max_position_embeddings,
                "vocab_size": text.vocab_size,
            },
        }
        activations = {vision.hidden_act, text.hidden_act}
    except Exception as error:  # transformers refuses a wrong value in its own way
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"{where} does not describe a CLIP of transformers' ({said[:200]}).") from error
    if len(activations) > 1 or cfg["quick_gelu"] is None:
        raise UserError(
            f"{where}: hidden_act is {' and '.join(sorted(map(str, activations)))}, but a CLIP has quick_gelu or gelu, "
            "the same in both towers."
        )
    if text.vocab_size != _VOCABULARY or text.eos_token_id not in (_LEGACY_EOS, 49407):
        raise UserError(
            f"{where}: text_config is not of OpenAI's vocabulary ({_VOCABULARY} tokens, the last one ends a "
            "text); convert the model to a folder with open_clip_config.json."
        )
    return cfg


def _siglip_description(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """As `_open_clip_description`, of a network that transformers' `SiglipConfig` describes.

    Raises:
        UserError: something is missing, or is not as in any published SigLIP.
    """
    try:
        vision = SiglipVisionConfig(**config.get("vision_config", {}))
        unused = {"bos_token_id": None, "eos_token_id": None}  # the defaults are no words of the vocabulary
        text = SiglipTextConfig(**config.get("text_config", {}) | unused)
        sizes = (
            vision.hidden_size,
            vision.num_hidden_layers,
            vision.num_attention_heads,
            vision.intermediate_size,
            vision.patch_size,
        )
        cfg = {
            "embed_dim": vision.hidden_size,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {
                **_sizes_of(vision),
                "image_size": vision.image_size,
                "timm_model_name": trunk_name(*sizes),
                "timm_pool": "map",
                "timm_proj": "none",
            },
            "text_cfg": {
                **_sizes_of(text),
                "heads": text.num_attention_heads,
                "context_length": text.max_position_embeddings,
                "vocab_size": text.vocab_size,
                "hf_tokenizer_name": _SIGLIP_VOCABULARIES.get(text.vocab_size, "its publishers"),
                "tokenizer_kwargs": {"clean": "canonicalize"},
                "no_causal_mask": True,
                "proj_bias": True,
                "pool_type": "last",
                "act_kwargs": {"approximate": "tanh"},
            },
        }
    except Exception as error:  # transformers refuses a wrong value in its own way
        said = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise UserError(f"{where} does not describe a SigLIP of transformers' ({said[:200]}).") from error
    alike = all(
        (tower.hidden_act, tower.layer_norm_eps) == (_SIGLIP_ACTIVATION, _SIGLIP_EPS)
        for tower in (vision, text)
    )
    if not alike or not vision.vision_use_head or text.projection_size != vision.hidden_size:
        raise UserError(
            f"{where}: a SigLIP has {_SIGLIP_ACTIVATION}, layer_norm_eps {_SIGLIP_EPS}, a pooling head, and texts "
            "projected to as many channels as images have."
        )
    return cfg


def _sizes_of(
    tower: CLIPVisionConfig | CLIPTextConfig | SiglipVisionConfig | SiglipTextConfig,
) -> dict[str, Any]:
    sizes = {
        "width": tower.hidden_size,
        "layers": tower.num_hidden_layers,
        "mlp_ratio": tower.intermediate_size / tower.hidden_size,
    }
    eps = tower.layer_norm_eps
    return sizes if eps == _EPS else sizes | {"norm_kwargs": {"eps": eps}}
