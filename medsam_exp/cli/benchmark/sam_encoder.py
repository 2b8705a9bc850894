"""SAM's image encoder, segment-anything's own against ours: `python -m medsam_exp.cli.benchmark.sam_encoder`."""

import copy
from collections.abc import Iterator
from contextlib import nullcontext

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from torch import Tensor

from medsam_exp.cli.benchmark.arithmetic import operations, rate, seconds_on
from medsam_exp.cli.benchmark.rows import Row, print_rows
from medsam_exp.runtime.heap import keep_freed_memory
from medsam_exp.sam.model import SamModel
from medsam_exp.training.compiled import compiled_encoders
from medsam_exp.training.precision import encoders_in

ROUNDS = 2
COMPILED = "bf16-mixed, compiled"


def main() -> None:
    """Print both precisions against segment-anything's own encoder."""
    print_rows("SAM's image encoder, one image, one thread", rows())


def rows(device: str = "cpu") -> Iterator[Row]:
    """Float32, then bf16-mixed as a run computes it, on a GPU also compiled (`trainer=gpu_compiled`).

    The fastest of rounds counts, and the ways take turns; compiling is part of a first round alone.

    Args:
        device: "cpu", with one thread, or "cuda".
    """
    torch.set_num_threads(1)
    keep_freed_memory()  # as a run does
    original = random_vit_b().to(device)
    model = SamModel(copy.deepcopy(original))
    image = torch.randn(1, 3, 1024, 1024, generator=torch.Generator().manual_seed(0)).to(device)
    ways = ["plain", "32-true", "bf16-mixed", *([COMPILED] if device != "cpu" else [])]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    outputs: dict[str, Tensor] = {}

    def encode(name: str) -> None:
        outputs[name] = (original.image_encoder if name == "plain" else model.encode)(image)

    with torch.no_grad():
        counted = operations(lambda: encode("plain"))
        for _ in range(ROUNDS):
            for name, taken in seconds.items():
                low = name.startswith("bf16-mixed")
                with (
                    encoders_in(model, "bf16-mixed" if low else name),
                    compiled_encoders(model) if name == COMPILED else nullcontext(),
                    torch.autocast(device, torch.bfloat16, enabled=low),
                ):
                    taken.append(seconds_on(device, lambda name=name: encode(name)))  # type: ignore[misc]
    for way in ways[1:]:
        name, dtype = ("float32", torch.float32) if way == "32-true" else (way, torch.bfloat16)
        difference = (outputs[way].float() - outputs["plain"]).abs()
        note = (
            f"differs by up to {difference.max():.0e}, {difference.mean():.0e} in the mean, "
            f"of a standard deviation of {outputs['plain'].std():.2f}"
        )
        plain, ours = min(seconds["plain"]), min(seconds[way])
        limit = counted / rate(dtype, device)
        yield Row(f"SAM ViT-B at 1024 px, {name}", "s", plain, ours, limit, note)


def random_vit_b() -> Sam:
    """ViT-B with random weights, positions included: they start at zero, where they would hide mistakes."""
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]().eval()
    for name, parameter in sam.image_encoder.named_parameters():
        if "pos" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return sam


if __name__ == "__main__":
    main()
