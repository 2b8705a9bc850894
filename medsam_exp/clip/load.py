"""Load a CLIP model from a name, a hub repository or a folder, and save one as a folder."""

import json
import os
from copy import deepcopy
from functools import cache
from pathlib import Path

import torch
from open_clip.model import _build_vision_tower
from safetensors.torch import save_file
from torch import nn

from medsam_exp.clip.capabilities import VisionLayout, VisionTower
from medsam_exp.clip.folder import CONFIG
from medsam_exp.clip.image_size import set_image_size
from medsam_exp.clip.model import ClipModel, Tokenizer
from medsam_exp.clip.network import as_described, build_network
from medsam_exp.clip.source import ClipSource, find_source, find_weights
from medsam_exp.clip.tokenizer import load_tokenizer
from medsam_exp.clip.towers import vision_tower
from medsam_exp.clip.weights import put_weights
from medsam_exp.runtime.checkpoint.read import read_weights
from medsam_exp.runtime.finite import refuse_broken_weights, refuse_unstorable
from medsam_exp.runtime.foreign import naming_the_file
from medsam_exp.runtime.json_text import json_text

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # loading processes are forked after the first text


def load_clip(
    model: str,
    weights: str | None = None,
    saliency_layer: int | None = None,
    seed: int = 0,
    image_size: int | None = None,
) -> ClipModel:
    """Load a CLIP model, in evaluation mode and float32; no socket is opened when its files are local.

    Args:
        model: `tiny`, a folder (open_clip's layout, transformers' CLIPModel or SiglipModel), `hf-hub:OWNER/NAME`, or a
            name known to open_clip.
        weights: None for the model's own; a file as `read_weights` takes it, with the names of open_clip, of
            transformers' CLIPModel or SiglipModel, of BiomedCLIP's Hugging Face port or of UniMed-CLIP; a tag of
            open_clip; or `random`.
        saliency_layer: 0-based vision block after which saliency methods look, unless told otherwise; None for three
            quarters of the depth.
        seed: decides random weights; the global random state is neither used nor changed.
        image_size: side in pixels of the images that the network sees; positional embeddings are interpolated, which
            the network was not trained for. None for its own.

    Raises:
        UserError: something is missing, cannot be downloaded, does not fit, or is not finite.

    Example:
        >>> from medsam_exp import PhantomDataset, load_clip
        >>> clip, scans = load_clip("tiny"), PhantomDataset(seed=2, count=1)
        >>> scan = scans.samples[0]
        >>> images = clip.preprocess(scans.read_image(scan.id))[None]
        >>> texts = clip.encode_text(clip.tokenize([scan.description]))
        >>> tuple(clip.encode_image(images).shape), tuple(texts.shape)
        ((1, 128), (1, 128))
    """
    source = find_source(model, weights)
    path = find_weights(source, weights)
    tokenizer = load_tokenizer(source)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also reset other devices
        network = build_network(source)
    _refuse_unknown_tokens(network, tokenizer, source)
    if path is not None:
        put_weights(network, read_weights(path), path, model)
        refuse_broken_weights(network.state_dict(), f"clip.model={model}", path)
    model_cfg = source.model_cfg
    if image_size is not None:
        set_image_size(network, image_size)
        model_cfg = model_cfg | {"vision_cfg": model_cfg["vision_cfg"] | {"image_size": image_size}}
    with as_described(source):
        return ClipModel(
            network.float().eval(),
            tokenizer,
            model_cfg,
            mean=source.preprocess["mean"],
            std=source.preprocess["std"],
            saliency_layer=saliency_layer,
            interpolation=source.preprocess["interpolation"],
        ).eval()


def _refuse_unknown_tokens(network: nn.Module, tokenizer: Tokenizer, source: ClipSource) -> None:
    """Refuse a tokenizer that cannot fill a text up, or whose tokens are beyond the network's vocabulary.

    Raises:
        UserError: it is of another network, or damaged.
    """
    where = source.tokenizer or source.folder or source.model
    with naming_the_file(where, "has a tokenizer that does not work", "put the network's own files there"):
        highest = int(tokenizer(["a lesion"]).max())
        known = max(
            (part.num_embeddings for part in network.modules() if isinstance(part, nn.Embedding)), default=0
        )
        if known and highest >= known:
            raise ValueError(f"its token {highest} is beyond the vocabulary of {known}")


def vision_layout(model: str) -> VisionLayout:
    """How the vision tower is built and what it offers to saliency methods, without loading weights.

    Raises:
        UserError: there is no such model.
    """
    source = find_source(model)
    with as_described(source):
        return _described_tower(json_text(source.model_cfg)).layout


def patch_grid(model: str, image_size: int | None = None) -> tuple[int, int]:
    """(gh, gw) patches after the vision tower's last useful layer, without loading weights.

    Args:
        model: as of `load_clip`.
        image_size: likewise.

    Raises:
        UserError: there is no such model.
    """
    source = find_source(model)
    size = {} if image_size is None else {"image_size": image_size}
    with as_described(source):
        tower = _described_tower(
            json_text(source.model_cfg | {"vision_cfg": source.model_cfg["vision_cfg"] | size})
        )
    return tower.grid_after(tower.layout.last_layer)


@cache
def _described_tower(description: str) -> VisionTower:
    """Of a network's description as JSON; once a process, as timm draws even weights that hold no numbers."""
    model_cfg = json.loads(description)
    vision = model_cfg["vision_cfg"] | {"timm_model_pretrained": False}
    with torch.device("meta"):
        visual = _build_vision_tower(model_cfg["embed_dim"], vision, model_cfg.get("quick_gelu", False))
        return vision_tower(visual)


def save_clip(clip: ClipModel, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write a folder that `load_clip`, and open_clip by `local-dir:`, can load offline.

    open_clip finds a Hugging Face text tower's config.json by an absolute path alone: when such a folder is
    moved, set `hf_model_name` in its open_clip_config.json anew, or export it again. `load_clip` does not mind.

    Args:
        clip: the model.
        folder: made if missing; gets open_clip_config.json, open_clip_model.safetensors, the tokenizer's
            files and, for a Hugging Face text tower, its config.json.
        dtype: of the stored weights.

    Raises:
        UserError: a weight is too large for `dtype`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {
        "size": list(clip.preprocess.size),
        "mean": list(clip.preprocess.mean),
        "std": list(clip.preprocess.std),
        "interpolation": clip.preprocess.interpolation,
        "resize_mode": "squash",
    }
    model_cfg = deepcopy(clip.model_cfg)
    if model_cfg["text_cfg"].get("hf_model_name"):
        model_cfg["text_cfg"]["hf_model_name"] = str(folder.resolve())
        clip.network.text.config.save_pretrained(folder)
    description = {"model_cfg": model_cfg, "preprocess_cfg": preprocess}
    (folder / CONFIG).write_text(json_text(description, indent=2) + "\n")
    state = {
        name: value.detach()
        .to("cpu", dtype if value.is_floating_point() else value.dtype, copy=True)
        .contiguous()
        for name, value in clip.network.state_dict().items()
    }
    refuse_unstorable(state, folder / "open_clip_model.safetensors")
    save_file(state, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    if clip.model_cfg["text_cfg"].get("hf_tokenizer_name"):
        clip.tokenizer.save_pretrained(str(folder))  # type: ignore[attr-defined]
