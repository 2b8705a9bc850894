"""SAM's image encoder, segment-anything's own against ours: `python -m benchmarks.bench_sam_encoder`."""

import copy
import time
from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from torch import Tensor

from medsam_exp.sam.model import SamModel

ROUNDS = 3


def main() -> None:
    """Print seconds an image (ViT-B, 1024 px), ratio and differences; the ways take turns, medians count."""
    original = random_vit_b()
    ours = SamModel(copy.deepcopy(original))
    image = torch.randn(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(0))
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "segment-anything, float32": original.image_encoder,
        "ours, float32": ours.encode,
        "ours, bfloat16": torch.autocast("cpu", torch.bfloat16)(ours.encode),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    outputs: dict[str, Tensor] = {}
    for _ in range(ROUNDS):
        for name, encode in ways.items():
            start = time.perf_counter()
            with torch.no_grad():
                outputs[name] = encode(image)
            seconds[name].append(time.perf_counter() - start)
    report(seconds, outputs)


def random_vit_b() -> Sam:
    """ViT-B with random weights, positions included: they start at zero, where they would hide mistakes."""
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]().eval()
    for name, parameter in sam.image_encoder.named_parameters():
        if "pos" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return sam


def report(seconds: dict[str, list[float]], outputs: dict[str, Tensor]) -> None:
    first = next(iter(seconds))
    spread = outputs[first].std().item()
    table = Table("encoder", "seconds an image", "ratio", "max |difference|", "mean |difference|")
    for name, measured in seconds.items():
        ratio = np.median(seconds[first]) / np.median(measured)
        difference = (outputs[name].float() - outputs[first]).abs()
        numbers = (f"{difference.max():.1e}", f"{difference.mean():.1e}")
        table.add_row(name, f"{np.median(measured):.2f}", f"{ratio:.2f} x", *numbers)
    threads, sd = torch.get_num_threads(), f"{spread:.2f}"
    Console().print(table, f"{threads} threads; the output has standard deviation {sd}; {ROUNDS} rounds.")


if __name__ == "__main__":
    main()
