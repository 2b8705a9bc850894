"""Folders of promptable and of text-prompted networks, small ones with random weights."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.fusion.single import SingleMask
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.text_segmenter.clipseg import load_clipseg
from medsam_exp.text_segmenter.grounding_dino import load_grounding_dino
from medsam_exp.text_segmenter.owlv2 import load_owlv2
from medsam_exp.text_segmenter.sam3 import load_sam3
from medsam_exp.text_segmenter.segmenter import TextSegmenter
from tests.fuzz.reader import Files, Reader, written
from tests.sam.small_networks import small_sam2, stir
from tests.text_segmenter.small import saved

_SAM2 = "sam2_tiny"
_SIZE = (24, 32)
_TOUCHED = ("*config.json", "*config.json", "*.json", "*.txt", "*.safetensors")


def _sam2(folder: Path) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = small_sam2()
        stir(network)
    network.save_pretrained(folder / "network")


def _read_sam2(folder: Path) -> None:
    family = FAMILIES[_SAM2]
    small = type(family)(small_sam2, family.framing, family.model, family.names)
    with mock.patch.dict(FAMILIES, {_SAM2: small}):  # type: ignore[arg-type]
        load_sam(_SAM2, str(folder / "network"))


def _text_segmenter(choice: str) -> Callable[[], Files]:
    return written(lambda folder: saved(choice, folder / "network"))


def _answer(load: Callable[[str], TextSegmenter]) -> Callable[[Path], object]:
    def read(folder: Path) -> None:
        segmenter = load(str(folder / "network"))
        image = np.random.default_rng(0).integers(0, 256, (*_SIZE, 3), np.uint8)
        segmenter.segment(segmenter.preprocess(image), ["a dark mass"], _SIZE)

    return read


def _with_boxes(load: Callable[..., TextSegmenter]) -> Callable[[str], TextSegmenter]:
    return lambda model: load(model, _tiny_sam(), SingleMask(), 0.01, 2)


@cache
def _tiny_sam() -> PromptableModel:
    return load_sam("tiny")


_LOADERS: dict[str, Callable[[str], TextSegmenter]] = {
    "clipseg": lambda model: load_clipseg(model, 0.5),
    "owlv2": _with_boxes(load_owlv2),
    "grounding_dino": _with_boxes(load_grounding_dino),
    "sam3": lambda model: load_sam3(model, 0.2, 0.5),
}

READERS = (
    Reader("sam 2 folder", written(_sam2), _read_sam2, _TOUCHED, cost=20),
    *(
        Reader(f"{choice} folder", _text_segmenter(choice), _answer(load), _TOUCHED, cost=40)
        for choice, load in _LOADERS.items()
    ),
)
