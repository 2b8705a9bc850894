"""One full-size segmenter in a process of its own: `python -m tests.sam.full_size STEP ARCHITECTURE FOLDER`.

write: random weights in the layout of the published file. ours: load them, embed an image, answer a box; prints what
that took. theirs: the same by the library that the network is of; prints the largest differences.
"""

import json
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from segment_anything import sam_model_registry
from torch import Tensor

from medsam_exp.sam.load import load_sam
from medsam_exp.sam.model import SamModel
from medsam_exp.types import Prompts
from tests.sam.layouts.stored import stored

SIZE = (500, 600)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
BOX = np.array([[90.0, 80, 420, 390]], np.float32)
METAS = {"vit_b": "vit_b", "vit_l": "vit_l", "vit_h": "vit_h", "medsam": "vit_b", "medicosam": "vit_b"}
"""segment-anything's network by architecture."""
OWN = ("sam_med2d", "mobile_sam", "lite_medsam")
"""Those that no library of the lock builds."""


def main(step: str, architecture: str, folder: Path) -> dict[str, float]:
    torch.set_num_threads(1)
    weights = folder / "weights.pt"
    if step == "write":
        torch.save(_drawn(architecture), weights)
        return {}
    with torch.no_grad():
        return (_ours if step == "ours" else _theirs)(architecture, weights, folder / "answer.pt")


def _drawn(architecture: str) -> dict[str, Tensor]:
    """Random numbers of such sizes that no layer's answer vanishes or explodes."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, empty in stored(architecture).items():
        drawn = torch.randn(empty.shape, generator=generator)
        if not empty.is_floating_point() or name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(empty.shape, dtype=torch.int64)
        elif name.endswith("running_var"):
            state[name] = 1 + 0.1 * drawn.abs()
        elif empty.ndim == 1:
            state[name] = 0.1 * drawn + name.endswith("weight")
        else:
            state[name] = drawn / math.sqrt(empty[0].numel())
    return state


def _ours(architecture: str, weights: Path, answer: Path) -> dict[str, float]:
    model = load_sam(architecture, str(weights))
    start = time.process_time()
    embedding = model.encode(model.preprocess(IMAGE)[None])
    encoded = time.process_time()
    ((logits, _),) = model.decode(embedding[0], Prompts(boxes_xyxy=BOX), SIZE)
    decoded = time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    box = _in_frame(model)
    torch.save([model.decode_low_res(embedding, box, multimask=several) for several in (False, True)], answer)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        "encode": encoded - start,
        "box": decoded - encoded,
        "peak_gb": peak,
        "stored_mb": embedding.numel() * embedding.element_size() / 1e6,
        "foreground": float((logits > 0).float().mean()),
        "spread": float(logits.std()),
    }


def _theirs(architecture: str, weights: Path, answer: Path) -> dict[str, float]:
    model = load_sam(architecture, str(weights))
    image, box = model.preprocess(IMAGE)[None], _in_frame(model)
    found = torch.load(answer)
    if isinstance(model, SamModel):
        reference: Any = sam_model_registry[METAS[architecture]]().eval()
        reference.load_state_dict(torch.load(weights))
        embedding = reference.image_encoder(image)
        sparse, dense = reference.prompt_encoder(points=None, boxes=box, masks=None)
        parts = (embedding, reference.prompt_encoder.get_dense_pe(), sparse, dense)
        expected = [reference.mask_decoder(*parts, several) for several in (False, True)]
    else:
        reference = type(model.network)(model.network.config).eval()
        reference.load_state_dict(model.network.state_dict())
        given = {"pixel_values": image, "input_boxes": box[None]}
        said = [reference(**given, multimask_output=several) for several in (False, True)]
        expected = [(each.pred_masks[0], each.iou_scores[0]) for each in said]
    pairs = [(one[part], other[part]) for one, other in zip(found, expected, strict=True) for part in (0, 1)]
    apart = [float((one - other).abs().max()) for one, other in pairs]
    return {
        "masks": max(apart[::2]),
        "masks_spread": float(pairs[2][1].std()),
        "ious": max(apart[1::2]),
    }


def _in_frame(model: Any) -> Tensor:
    return torch.as_tensor(model.framing.to_input(BOX.reshape(-1, 2, 2), SIZE).reshape(-1, 4)).float()


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
