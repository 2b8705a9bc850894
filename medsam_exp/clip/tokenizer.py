"""Tokenizers of CLIP models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import open_clip
from open_clip.tokenizer import HFTokenizer, get_clean_fn
from transformers import PreTrainedTokenizerFast

from medsam_exp.clip.folder import TOKENIZER_NAMES
from medsam_exp.clip.model import Tokenizer
from medsam_exp.clip.source import ClipSource, fetch_tokenizer
from medsam_exp.runtime.foreign import read_json
from medsam_exp.runtime.wording import first_line
from medsam_exp.types import UserError


class _SiglipTokenizer(HFTokenizer):  # type: ignore[misc]
    """SigLIP's as tokenizer.json holds it; the class that its tokenizer_config.json names needs SentencePiece."""

    def __init__(self, folder: Path, context_length: int, clean: str = "canonicalize") -> None:
        self.tokenizer_mode, self.strip_sep_token = "", False
        self.context_length, self.clean_fn = context_length, get_clean_fn(clean)
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder))


def load_tokenizer(source: ClipSource) -> Tokenizer:
    """Load open_clip's tokenizer of a model, from the model's folder whenever the files are there.

    Raises:
        UserError: the tokenizer's files are missing, or cannot be downloaded.
    """
    result: Tokenizer
    if source.tokenizer is not None:
        return _in_folder(source.tokenizer, source.model_cfg["text_cfg"])
    if source.folder is not None and _has_tokenizer(source):
        return _in_folder(source.folder, source.model_cfg["text_cfg"])
    if source.folder is not None and source.repository is None:
        raise UserError(
            f"{source.folder} has no tokenizer; put tokenizer.json and tokenizer_config.json of "
            f"{source.model_cfg['text_cfg']['hf_tokenizer_name']} there."
        )
    try:
        if source.repository is not None:
            return _of_hugging_face(
                source.model_cfg["text_cfg"]["hf_tokenizer_name"], source.model_cfg["text_cfg"]
            )
        result = open_clip.get_tokenizer(source.name or source.model, **_no_code(source))
        return result
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"the tokenizer of clip.model={source.model} is not in the local cache and cannot be downloaded."
        ) from error


def _in_folder(folder: Path, text_cfg: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that a folder holds, or open_clip's own where the network needs none of Hugging Face's."""
    if not text_cfg.get("hf_tokenizer_name"):
        own: Tokenizer = open_clip.SimpleTokenizer(**_options(text_cfg))
        return own
    try:
        if _says_siglip(folder / "tokenizer_config.json"):
            siglip: Tokenizer = _SiglipTokenizer(folder, **_options(text_cfg))
            return siglip
        return _of_hugging_face(str(folder), text_cfg)
    except Exception as error:  # broken files fail in as many ways as there are kinds of tokenizer
        raise UserError(
            f"the tokenizer in {folder} cannot be read ({first_line(error)}); put its files there anew."
        ) from error


def _of_hugging_face(where: str, text_cfg: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer in a folder or a repository; no remote code is trusted, whatever the description says."""
    options = {
        **_options(text_cfg),
        "tokenizer_mode": text_cfg.get("tokenizer_mode"),
        "trust_remote_code": False,
    }
    result: Tokenizer = HFTokenizer(where, **options)
    return result


def _options(text_cfg: Mapping[str, Any]) -> dict[str, Any]:
    return {"context_length": text_cfg.get("context_length", 77)} | (text_cfg.get("tokenizer_kwargs") or {})


def _says_siglip(config: Path) -> bool:
    content = read_json(config) if config.is_file() else None
    return isinstance(content, dict) and content.get("tokenizer_class") == "SiglipTokenizer"


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
