"""Where a CLIP model comes from: a folder, a hub repository, or a name that open_clip knows."""

import difflib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.pretrained import download_pretrained, get_pretrained_cfg

from medsam_exp.clip.activation import activation_problem
from medsam_exp.clip.description import read_description
from medsam_exp.clip.folder import (
    CONFIG,
    PACKAGED,
    TOKENIZER_NAMES,
    TRANSFORMERS_CONFIG,
    TRANSFORMERS_INPUT,
    WEIGHT_NAMES,
    described_by,
    own_weights,
)
from medsam_exp.clip.hub import hub_file
from medsam_exp.types import UserError

log = logging.getLogger(__name__)
open_clip.add_model_config(
    Path(__file__).parent / "published"
)  # networks whose publishers leave no description


@dataclass(frozen=True)
class ClipSource:
    """What is known of a CLIP model before anything is built.

    Attributes:
        model: as the user wrote it.
        model_cfg: open_clip's description of the network.
        preprocess: open_clip's description of the input; `mean`, `std` and `interpolation` are always there.
        folder: where its files lie; None for open_clip's names.
        repository: on the hub; None for folders and names.
        name: open_clip's name, or one of `published`; None for folders and repositories.
        tokenizer: a folder that has the tokenizer of a network by name, beside the given weights.
    """

    model: str
    model_cfg: dict[str, Any]
    preprocess: dict[str, Any]
    folder: Path | None = None
    repository: str | None = None
    name: str | None = None
    tokenizer: Path | None = None


def find_source(model: str, weights: str | None = None) -> ClipSource:
    """Read the description of a model; of a hub repository, only that file is fetched.

    Raises:
        UserError: there is no such model, or its description cannot be read.
    """
    if model in PACKAGED:
        return _from_folder(model, PACKAGED[model])
    if model.startswith("hf-hub:"):
        return _from_hub(model, model.removeprefix("hf-hub:"))
    name = model.replace("/", "-")
    if not model.startswith("local-dir:") and (model_cfg := open_clip.get_model_config(name)) is not None:
        beside = _tokenizer_beside(model_cfg, weights)
        return ClipSource(
            model, model_cfg, _with_defaults(_input_of(name, weights)), name=name, tokenizer=beside
        )
    folder = Path(model.removeprefix("local-dir:")).expanduser()
    if folder.is_dir() or model.startswith("local-dir:") or len(folder.parts) > 1:
        return _from_folder(model, folder)
    near = difflib.get_close_matches(model, [*PACKAGED, *open_clip.list_models()], 3)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise UserError(
        f"clip.model={model} is neither a folder nor a model that open_clip knows{hint}; give a folder with "
        "open_clip_config.json, hf-hub:OWNER/NAME, or one of open_clip.list_models()."
    )


def find_weights(source: ClipSource, weights: str | None) -> Path | None:
    """The file of weights, downloaded if need be; None for `random`.

    Raises:
        UserError: there is no such file, it cannot be downloaded, or it was trained with another activation than
            the network of open_clip's name has.
    """
    if weights == "random":
        return None
    is_tag = source.name and weights and not Path(weights).expanduser().is_file()
    # A tag's weights are not fetched before they are known to fit.
    path = None if is_tag else _weights_file(source, weights)
    tag = weights if is_tag else None
    if source.name and (problem := activation_problem(source.name, source.model_cfg, tag, path)):
        raise UserError(problem)
    return path or _weights_file(source, weights)


def _weights_file(source: ClipSource, weights: str | None) -> Path:
    if weights is None:
        return _own_weights(source)
    if Path(weights).expanduser().is_file():
        return Path(weights).expanduser()
    if "/" in weights:
        raise UserError(
            f"clip.weights={weights} is not a file; `medsam-exp weights list` says what can be fetched, or "
            "put the weights there, or point clip.weights at them."
        )
    tags = open_clip.list_pretrained_tags_by_model(source.name) if source.name else []
    if weights not in tags:
        known = f"; {source.model} has the tags {', '.join(tags)}" if tags else ""
        raise UserError(f"clip.weights={weights} is neither a file nor a known tag{known}.")
    assert source.name is not None
    return _tagged_weights(source.name, weights)


def tokenizer_files(source: ClipSource) -> list[Path]:
    """Local files besides the weights that decide what the model computes; missing ones are downloaded.

    They must all be there before a key is made of them, or the next run, which finds them, would make another.
    """
    if source.folder is None:
        return [] if source.tokenizer is None else described_by(source.tokenizer)
    if source.repository is not None and source.model_cfg["text_cfg"].get("hf_tokenizer_name"):
        fetch_tokenizer(source.repository)
    return described_by(source.folder)


def _tokenizer_beside(model_cfg: Mapping[str, Any], weights: str | None) -> Path | None:
    """The folder of a file of weights, where the network needs a Hugging Face tokenizer and one lies there."""
    path = Path(weights or "").expanduser()
    if not model_cfg["text_cfg"].get("hf_tokenizer_name") or not path.is_file():
        return None
    return path.parent if any((path.parent / name).is_file() for name in TOKENIZER_NAMES) else None


def fetch_tokenizer(repository: str) -> bool:
    """Bring a hub repository's tokenizer into the local cache; False where it has none."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        hub_file(repository, name)
    return hub_file(repository, *TOKENIZER_NAMES) is not None


def _from_folder(model: str, folder: Path, repository: str | None = None) -> ClipSource:
    model_cfg, preprocess = read_description(folder, model)
    return ClipSource(model, model_cfg, _with_defaults(preprocess), folder=folder, repository=repository)


def _from_hub(model: str, repository: str) -> ClipSource:
    config = hub_file(repository, CONFIG)
    if config is None:
        config = hub_file(repository, TRANSFORMERS_CONFIG)
        hub_file(repository, TRANSFORMERS_INPUT)
    if config is None:
        raise UserError(
            f"clip.model={model}: the repository has neither {CONFIG} nor {TRANSFORMERS_CONFIG}; choose a CLIP of "
            "open_clip's or of transformers'."
        )
    return _from_folder(model, config.parent, repository)


def _own_weights(source: ClipSource) -> Path:
    if source.repository is not None:
        found = hub_file(source.repository, *WEIGHT_NAMES)
    elif source.folder is not None:
        found = own_weights(source.folder)
    else:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(source.name)) or "none"
        raise UserError(
            f"clip.model={source.model} is a network without weights; set clip.weights to a file, 'random', "
            f"or one of its tags ({tags})."
        )
    if found is None:
        raise UserError(
            f"clip.model={source.model} has no file of weights; it should be named {WEIGHT_NAMES[0]}."
        )
    return found


def _tagged_weights(name: str, tag: str) -> Path:
    config = get_pretrained_cfg(name, tag)
    repository, _, file = config.get("hf_hub", "").rpartition("/")
    if repository:
        found = hub_file(repository, *([file] if file else WEIGHT_NAMES))
        if found is None:
            raise UserError(f"hf-hub:{repository} has no file of weights for {name} with clip.weights={tag}.")
        return found
    try:
        return Path(download_pretrained(config))
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the weights {tag} of {name} cannot be downloaded ({error}); `medsam-exp weights list` says "
            "what can be fetched, or set clip.weights to a local file."
        ) from error


def _input_of(name: str, weights: str | None) -> dict[str, Any]:
    """Input of one of open_clip's networks: as the tag was trained, else as all of the network's tags were."""
    if weights and (tagged := get_pretrained_cfg(name, weights)):
        result: dict[str, Any] = tagged
        return result
    known = [get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)]
    keys = ("mean", "std", "interpolation")
    own = {key: {one[key] for one in known if one.get(key) is not None} for key in keys}
    a_file = weights is not None and Path(weights).expanduser().is_file()
    if a_file and (unsure := [key for key in keys if len(own[key]) > 1]):
        log.warning(
            "clip.weights=%s: weights of %s were trained with more than one %s; OpenAI's are taken (a folder with %s "
            "says another in preprocess_cfg).", weights, name, " and ".join(unsure), CONFIG
        )  # fmt: skip
    return {key: next(iter(values)) for key, values in own.items() if len(values) == 1}


def _with_defaults(preprocess: dict[str, Any]) -> dict[str, Any]:
    defaults = {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD, "interpolation": "bicubic"}
    return defaults | {key: value for key, value in preprocess.items() if value is not None}
