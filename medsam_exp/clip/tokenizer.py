"""Tokenizers of CLIP models, and the configuration of Hugging Face text towers."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import open_clip
from open_clip.hf_configs import arch_dict

from medsam_exp.clip.description import first_line, is_transformers_folder, read_json
from medsam_exp.clip.model import Tokenizer
from medsam_exp.clip.source import TOKENIZER_NAMES, ClipSource, fetch_tokenizer
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import UserError

BERT_BASE: dict[str, object] = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
}
"""BERT-base (Devlin 2019), the size of PubMedBERT, which published CLIP folders leave out."""
_OTHER_BERTS = ("roberta", "albert", "deberta", "distil")


@contextmanager
def text_config_folder(source: ClipSource) -> Iterator[str]:
    """A name or folder from which transformers can read the text tower's configuration.

    Raises:
        UserError: a local folder says nothing about its text tower, and it is not of BERT-base's size.
    """
    name = str(source.model_cfg["text_cfg"]["hf_model_name"])
    if own_text_config(source) is not None:
        yield str(source.folder)
    elif is_bert_base(name):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "config.json").write_text(json_text(BERT_BASE))
            yield folder
    elif source.folder is not None and source.repository is None:
        raise UserError(
            f"{source.folder} has no config.json for its text tower {name}; put that network's there."
        )
    else:
        yield name


def own_text_config(source: ClipSource) -> dict[str, object] | None:
    """Configuration of the text tower in the model's folder; None where there is none."""
    path = None if source.folder is None else source.folder / "config.json"
    if path is None or not path.is_file():
        return None
    content = read_json(path)
    # Hub repositories often keep there the description of another port of the whole model.
    known = isinstance(content, dict) and content.get("model_type") in list(arch_dict)
    return content if known else None


def is_bert_base(name: str) -> bool:
    """Whether a text tower's published name is that of a BERT-base uncased (vocabulary of 30,522)."""
    lower = name.lower()
    wanted = all(word in lower for word in ("bert", "base", "uncased"))
    return wanted and not any(word in lower for word in _OTHER_BERTS)


def load_tokenizer(source: ClipSource) -> Tokenizer:
    """Load open_clip's tokenizer of a model, from the model's folder whenever the files are there.

    Raises:
        UserError: the tokenizer's files are missing, or cannot be downloaded.
    """
    result: Tokenizer
    if source.folder is not None and is_transformers_folder(source.folder):
        result = open_clip.SimpleTokenizer(context_length=source.model_cfg["text_cfg"]["context_length"])
        return result
    if source.folder is not None and _has_tokenizer(source):
        try:
            result = open_clip.get_tokenizer(f"local-dir:{source.folder}", **_no_code(source))
            return result
        except Exception as error:  # broken files fail in as many ways as there are kinds of tokenizer
            raise UserError(
                f"the tokenizer in {source.folder} cannot be read ({first_line(error)}); put its files there anew."
            ) from error
    if source.folder is not None and source.repository is None:
        raise UserError(
            f"{source.folder} has no tokenizer; put tokenizer.json and tokenizer_config.json of "
            f"{source.model_cfg['text_cfg']['hf_tokenizer_name']} there."
        )
    try:
        result = open_clip.get_tokenizer(source.name or source.model, **_no_code(source))
        return result
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"the tokenizer of clip.model={source.model} is not in the local cache and cannot be downloaded."
        ) from error


def _no_code(source: ClipSource) -> dict[str, bool]:
    """Never trust remote code of a tokenizer, whatever the description's `tokenizer_kwargs` are."""
    return {"trust_remote_code": False} if source.model_cfg["text_cfg"].get("hf_tokenizer_name") else {}


def _has_tokenizer(source: ClipSource) -> bool:
    assert source.folder is not None
    if not source.model_cfg["text_cfg"].get("hf_tokenizer_name"):
        return True  # open_clip's own, which comes with open_clip
    if source.repository is not None:
        return fetch_tokenizer(source.repository)
    return any((source.folder / name).is_file() for name in TOKENIZER_NAMES)
