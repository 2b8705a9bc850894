"""Networks of CLIP models: built with random weights, from their description alone."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import open_clip
from open_clip.hf_configs import arch_dict
from open_clip.timm_model import TimmModel
from torch import nn
from transformers import BertConfig

from medsam_exp.clip.folder import CONFIG, TRANSFORMERS_CONFIG
from medsam_exp.clip.image_size import has_plain_grid, set_timm_size
from medsam_exp.clip.source import ClipSource
from medsam_exp.runtime.foreign import read_json
from medsam_exp.runtime.wording import first_line
from medsam_exp.types import UserError

_OTHER_BERTS = ("roberta", "albert", "deberta", "distil")
_BERT_SIZES: dict[str, dict[str, int]] = {
    "base": {},
    "large": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
    },
}
"""Where BERTs of a size, as their names say it, differ from transformers' default (Devlin 2018, arXiv 1810.04805)."""


def build_network(source: ClipSource) -> nn.Module:
    """Build open_clip's network with random weights; nothing but a text tower's configuration is ever fetched.

    Raises:
        UserError: it is a captioning model, the description is of no network that can be built, or a local folder says
            nothing about its text tower, which is neither of BERT-base's nor of BERT-large's size.
    """
    arguments = deepcopy(source.model_cfg)
    if "multimodal_cfg" in arguments:
        raise UserError(f"clip.model={source.model} is a captioning model (CoCa); choose a plain CLIP.")
    own_text = bool(arguments.pop("custom_text", False))
    text = arguments["text_cfg"]
    if "timm_model_name" in arguments["vision_cfg"]:
        arguments["vision_cfg"]["timm_model_pretrained"] = False
    kind = open_clip.CustomTextCLIP if own_text or text.get("hf_model_name") else open_clip.CLIP
    with as_described(source), tempfile.TemporaryDirectory() as folder:
        if text.get("hf_model_name"):
            text |= {"hf_model_name": _text_config(source, folder), "hf_model_pretrained": False}
        result: nn.Module = kind(**arguments)
        visual: Any = result.visual
        if isinstance(visual, TimmModel) and has_plain_grid(visual.trunk):
            set_timm_size(visual, visual.image_size)  # open_clip leaves the trunk's own size
        return result


@contextmanager
def as_described(source: ClipSource) -> Iterator[None]:
    """Turn an error of building a network into one that names the faulty description."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # contradictions fail in open_clip's, timm's or torch's own way
        where = f"clip.model={source.model}" if source.folder is None else source.folder / CONFIG
        raise UserError(f"{where} describes no network that can be built: {first_line(error)}.") from error


def has_text_config(source: ClipSource) -> bool:
    """Whether the model's folder has a configuration of its Hugging Face text tower."""
    if source.folder is None or not (source.folder / TRANSFORMERS_CONFIG).is_file():
        return False
    content: Any = read_json(source.folder / TRANSFORMERS_CONFIG)
    # Hub repositories often keep there the description of another port of the whole model.
    return isinstance(content, dict) and content.get("model_type") in list(arch_dict)


def _text_config(source: ClipSource, folder: str) -> str:
    """A name or folder from which transformers can read the text tower's configuration; `folder` is an empty one."""
    name = str(source.model_cfg["text_cfg"]["hf_model_name"])
    words = name.lower()
    if has_text_config(source):
        return str(source.folder)
    size = next((size for size in _BERT_SIZES if size in words), None)
    is_bert = "bert" in words and "uncased" in words and not any(word in words for word in _OTHER_BERTS)
    if is_bert and size is not None:
        # PubMedBERT's sizes, which published folders leave out.
        BertConfig(**_BERT_SIZES[size]).save_pretrained(folder)
        return folder
    if source.folder is not None and source.repository is None:
        raise UserError(
            f"{source.folder} has no config.json for its text tower {name}; put that network's there."
        )
    return name
