"""One full-size text-prompted segmenter in a process of its own, by STEP CHOICE FOLDER.

write: random weights in a folder as on the hub. ours: load them, answer a text; prints what that took.
"""

import json
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    BertTokenizerFast,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    SwinConfig,
    ViTImageProcessor,
)

from medsam_exp.config.build import build
from medsam_exp.text_segmenter.segmenter import TextSegmenter
from tests.compose import composed
from tests.conftest import SHARED

SIZE = (500, 600)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
VOCABULARY = SHARED / "models" / "biomedclip_config" / "vocab.txt"
"""Of as many words as BERT's; a stand-in for Grounding DINO's."""


def main(step: str, choice: str, folder: Path) -> dict[str, float]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if step == "write":
        BUILD[choice](folder)
        return {}
    own = [f"text_segmenter={choice}", f"text_segmenter.model={folder}"]
    segmenter: TextSegmenter = build(composed(*own).text_segmenter)
    start = time.process_time()
    found = segmenter.segment(segmenter.preprocess(IMAGE), ["a dark mass"], SIZE)
    taken = time.process_time() - start
    network: Any = segmenter.network
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()) / 1e6,
        "image_and_text": taken,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "presence": found.presence,
        "foreground": float(found.mask.float().mean()),
    }


def _clipseg(folder: Path) -> None:
    """CIDAS/clipseg-rd64-refined: transformers' own defaults, and its refinement."""
    vision = {"image_size": 224, "patch_size": 16}
    CLIPSegForImageSegmentation(
        CLIPSegConfig(vision_config=vision, use_complex_transposed_convolution=True)
    ).save_pretrained(folder)
    ViTImageProcessor(size={"height": 352, "width": 352}).save_pretrained(folder)


def _owlv2(folder: Path) -> None:
    """google/owlv2-base-patch16-ensemble."""
    Owlv2ForObjectDetection(
        Owlv2Config(vision_config={"image_size": 960, "patch_size": 16}, projection_dim=512)
    ).save_pretrained(folder)
    Owlv2ImageProcessor(size={"height": 960, "width": 960}).save_pretrained(folder)


def _grounding_dino(folder: Path) -> None:
    """IDEA-Research/grounding-dino-tiny: Swin-T, BERT-base."""
    backbone = SwinConfig(image_size=224, window_size=7, out_features=["stage2", "stage3", "stage4"])
    GroundingDinoForObjectDetection(GroundingDinoConfig(backbone_config=backbone)).save_pretrained(folder)
    GroundingDinoImageProcessor().save_pretrained(folder)
    shutil.copy(VOCABULARY, folder / "vocab.txt")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)


BUILD = {"clipseg": _clipseg, "owlv2": _owlv2, "grounding_dino": _grounding_dino}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
