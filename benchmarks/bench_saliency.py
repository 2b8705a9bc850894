"""Seconds an image of each saliency method at BiomedCLIP's size: `python -m benchmarks.bench_saliency`.

The last row is what a stored result of the first nine layers would spare m2ib at each further setting of a sweep.
"""

import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from medsam_exp.cli.benchmark.m2ib import METHOD, biomedclip_with_random_weights
from medsam_exp.saliency.attention_rollout import AttentionRollout
from medsam_exp.saliency.gradcam import GradCAM
from medsam_exp.saliency.gradient_rollout import GradientRollout
from medsam_exp.saliency.gscorecam import GScoreCAM
from medsam_exp.saliency.method import SaliencyMethod

METHODS: dict[str, SaliencyMethod] = {
    "gradcam": GradCAM(),
    "attention_rollout": AttentionRollout(),
    "gradient_rollout": GradientRollout(),
    "m2ib, layer 9, 10 steps": METHOD,
    "gscorecam, 300 channels": GScoreCAM(channels=300),
}


def main() -> None:
    """Print wall-clock and processor seconds of one image each; the text is a random embedding."""
    torch.set_num_threads(1)  # spinning threads on a busy machine would time the other programs
    clip = biomedclip_with_random_weights()
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, 224, 224, generator=generator)
    text = torch.randn(1, clip.embed_dim, generator=generator)
    METHODS["gradcam"](clip, image, text, [generator])  # the first pass pays for memory
    table = Table("ViT-B/16 at 224 px, one image", "seconds", "processor seconds", title="one thread")
    for name, method in METHODS.items():
        table.add_row(name, *_seconds(lambda: method(clip, image, text, [torch.Generator().manual_seed(1)])))  # noqa: B023
    with torch.no_grad():
        table.add_row("m2ib's first 9 layers", *_seconds(lambda: clip.vision_prefix(image, 9)))
    Console().print(table)


def _seconds(work: Callable[[], object]) -> tuple[str, str]:
    start, spent = time.perf_counter(), time.process_time()
    work()
    return f"{time.perf_counter() - start:.2f}", f"{time.process_time() - spent:.2f}"


if __name__ == "__main__":
    main()
