"""Where a CLIP model comes from: a folder, a hub repository, or a name that open_clip knows."""

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.pretrained import download_pretrained, get_pretrained_cfg

from medsam_exp.clip.hub import WEIGHT_NAMES, hub_file
from medsam_exp.types import UserError

PACKAGED = {"tiny": Path(__file__).resolve().parent.parent / "weights" / "tiny_clip"}
"""Models that come with this package."""
TOKENIZER_NAMES = ("tokenizer.json", "vocab.txt")
"""Files of which a Hugging Face tokenizer needs one."""


@dataclass(frozen=True)
class ClipSource:
    """What is known of a CLIP model before anything is built.

    Attributes:
        model: as the user wrote it.
        model_cfg: open_clip's description of the network.
        preprocess: open_clip's description of the input; `mean` and `std` are always there.
        folder: where its files lie; None for open_clip's names.
        repository: on the hub; None for folders and names.
        name: open_clip's name; None for folders and repositories.
    """

    model: str
    model_cfg: dict[str, Any]
    preprocess: dict[str, Any]
    folder: Path | None = None
    repository: str | None = None
    name: str | None = None


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
        tagged = get_pretrained_cfg(name, weights) if weights else {}
        return ClipSource(model, model_cfg, _with_statistics(tagged), name=name)
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
        UserError: there is no such file, or it cannot be downloaded.
    """
    if weights == "random":
        return None
    if weights is None:
        return _own_weights(source)
    if Path(weights).expanduser().is_file():
        return Path(weights).expanduser()
    if "/" in weights:
        raise UserError(
            f"clip.weights={weights} is not a file; `python -m medsam_exp.weights list` says what can be fetched, or "
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
        return []
    if source.repository is not None and source.model_cfg["text_cfg"].get("hf_tokenizer_name"):
        fetch_tokenizer(source.repository)
    names = (
        "open_clip_config.json",
        "config.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "merges.txt",
    )
    paths = (source.folder / name for name in (*names, *TOKENIZER_NAMES))
    return sorted(path for path in paths if path.is_file())


def fetch_tokenizer(repository: str) -> bool:
    """Bring a hub repository's tokenizer into the local cache; False where it has none."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        hub_file(repository, name)
    return hub_file(repository, *TOKENIZER_NAMES) is not None


def _from_folder(model: str, folder: Path, repository: str | None = None) -> ClipSource:
    path = folder / "open_clip_config.json"
    if not path.is_file():
        state = "lacks open_clip_config.json" if folder.is_dir() else "is not a folder"
        raise UserError(
            f"clip.model={model}: {folder} {state}; point clip.model at a folder in open_clip's layout."
        )
    try:
        content = json.loads(path.read_text())
        model_cfg = content["model_cfg"]
        complete = {"embed_dim", "vision_cfg", "text_cfg"} <= model_cfg.keys()
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
        complete = False
    if not complete:
        raise UserError(
            f"{path} does not describe a network; it needs model_cfg with embed_dim, vision_cfg, text_cfg."
        )
    preprocess = _with_statistics(content.get("preprocess_cfg") or {})
    return ClipSource(model, model_cfg, preprocess, folder=folder, repository=repository)


def _from_hub(model: str, repository: str) -> ClipSource:
    config = hub_file(repository, "open_clip_config.json")
    if config is None:
        raise UserError(
            f"clip.model={model}: the repository has no open_clip_config.json; choose an open_clip model."
        )
    return _from_folder(model, config.parent, repository)


def _own_weights(source: ClipSource) -> Path:
    if source.repository is not None:
        found = hub_file(source.repository, *WEIGHT_NAMES)
    elif source.folder is not None:
        present = (source.folder / name for name in WEIGHT_NAMES)
        found = next((path for path in present if path.is_file()), None)
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
            f"the weights {tag} of {name} cannot be downloaded ({error}); `python -m medsam_exp.weights list` says "
            "what can be fetched, or set clip.weights to a local file."
        ) from error


def _with_statistics(preprocess: dict[str, Any]) -> dict[str, Any]:
    defaults = {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD}
    return defaults | {key: value for key, value in preprocess.items() if value is not None}
