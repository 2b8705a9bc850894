"""Write a CLIP in a layout that other programs load (`medsam-exp export-clip`)."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from medsam_exp.clip.layouts import to_huggingface
from medsam_exp.clip.load import load_clip, save_clip
from medsam_exp.clip.model import ClipModel
from medsam_exp.types import UserError

PORT_FILE = "pytorch_model.bin"
"""The name under which BiomedCLIP's Hugging Face port looks for its weights."""
_POOLER = "cls_last_hidden_state_pooler"


def save_huggingface(clip: ClipModel, folder: Path) -> None:
    """Write a network built like BiomedCLIP as `pytorch_model.bin`, the one file that its port loads.

    Args:
        clip: the model; its weights keep their precision.
        folder: made if missing.

    Raises:
        UserError: the port cannot compute what this network does.
    """
    trunk: Any = getattr(clip.network.visual, "trunk", None)
    pooling = (getattr(trunk, "global_pool", None), clip.model_cfg["text_cfg"].get("hf_pooler_type"))
    weights = to_huggingface(clip.network.state_dict())
    if pooling != ("token", _POOLER):
        raise UserError(
            "the Hugging Face layout is for networks built like BiomedCLIP, whose towers both end in their first "
            f"token, but here they end in {pooling[0]} and {pooling[1]}; export to the layout open_clip."
        )
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({name: value.cpu() for name, value in weights.items()}, folder / PORT_FILE)


_LAYOUTS: dict[str, Callable[[ClipModel, Path], None]] = {
    "open_clip": partial(save_clip, dtype=torch.float32),
    "huggingface": save_huggingface,
}


def export(model: str, out: Path, layout: str, weights: str | None = None) -> None:
    """Load a CLIP and write it in a layout.

    Args:
        model: as for `load_clip`.
        out: a folder, new or empty.
        layout: "open_clip" (float32, loaded by `local-dir:`) or "huggingface".
        weights: as for `load_clip`.

    Raises:
        UserError: the model cannot be loaded or has no place in the layout, or there is something at `out`.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(
            f"{out} exists and is not an empty folder; choose a new one, so that nothing is mixed up."
        )
    clip = load_clip(model, weights)
    try:
        _LAYOUTS[layout](clip, out)
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error}); choose another folder.") from error
