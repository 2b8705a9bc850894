"""M2IB at BiomedCLIP's size against the plain way, on the same noise: `python -m medsam_exp.cli.benchmark.m2ib`."""

from collections.abc import Iterator

import torch
from torch import Tensor

from medsam_exp.cli.benchmark.arithmetic import operations, rate, seconds_on
from medsam_exp.cli.benchmark.plain_m2ib import plain_m2ib, unit_map
from medsam_exp.cli.benchmark.rows import Row, print_rows
from medsam_exp.clip.model import ClipModel
from medsam_exp.clip.network import build_network
from medsam_exp.clip.source import ClipSource
from medsam_exp.clip.weights import BIOMEDCLIP
from medsam_exp.runtime.heap import keep_freed_memory
from medsam_exp.saliency.bottleneck import draw_noise
from medsam_exp.saliency.m2ib import M2IB
from medsam_exp.training.compiled import compiled_encoders
from medsam_exp.training.precision import encoders_in

LAYER = 9
METHOD = M2IB(layer=LAYER, beta=1.0, steps=10, lr=1.0, noise_samples=10, initial_alpha=5.0)
SEED, ROUNDS = 0, 3


def main() -> None:
    """Print both precisions against the whole model, ten copies, at every step."""
    print_rows("M2IB, one image and its text, one thread", rows())


def rows(device: str = "cpu") -> Iterator[Row]:
    """Float32, then bf16-mixed as a run computes it, on a GPU also compiled; the plain way is in float32.

    Args:
        device: "cpu", with one thread, or "cuda".
    """
    torch.set_num_threads(1)
    clip = biomedclip_with_random_weights().to(device)
    generator = torch.Generator().manual_seed(SEED)
    image = torch.randn(1, 3, 224, 224, generator=generator).to(device)
    tokens = torch.randint(1000, 28000, (1, 256), generator=generator).to(device)
    plain_seconds, plain = timed_plain(clip, image, tokens)
    keep_freed_memory()  # as a run does
    counted = operations(lambda: ours(clip, image, tokens))  # the first pass pays for memory too
    first, exact = timed(clip, image, tokens, "32-true")
    seconds = min(first, *(timed(clip, image, tokens, "32-true")[0] for _ in range(ROUNDS - 1)))
    low = [timed(clip, image, tokens, "bf16-mixed") for _ in range(ROUNDS)]
    ways = [("float32", torch.float32, seconds, exact), ("bf16-mixed", torch.bfloat16, *_best(low))]
    if device != "cpu":
        with compiled_encoders(clip):  # a first round compiles
            compiled = [timed(clip, image, tokens, "bf16-mixed") for _ in range(ROUNDS)]
        ways.append(("bf16-mixed, compiled", torch.bfloat16, *_best(compiled)))
    what, unit = "M2IB, ViT-B/16 at 224 px, layer 9, 10 x 10", "s"
    for name, dtype, taken, relevance in ways:
        one, other = (unit_map(each, 224).flatten() for each in (relevance[0], plain))
        alike = torch.corrcoef(torch.stack([one, other]))[0, 1]
        note = f"maps in [0, 1] differ by up to {(one - other).abs().max():.0e}, correlation {alike:.4f}"
        yield Row(f"{what}, {name}", unit, plain_seconds, taken, counted / rate(dtype, device), note)


def _best(rounds: list[tuple[float, Tensor]]) -> tuple[float, Tensor]:
    """The least seconds of some rounds, and the first one's relevance."""
    return min(seconds for seconds, _ in rounds), rounds[0][1]


def biomedclip_with_random_weights() -> ClipModel:
    """BiomedCLIP's architecture from its published numbers; speed does not depend on the weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = build_network(ClipSource("biomedclip", BIOMEDCLIP, {}))
    clip = ClipModel(
        network,
        lambda _: torch.zeros(0),
        BIOMEDCLIP,
        mean=[0.5] * 3,
        std=[0.25] * 3,
        saliency_layer=LAYER,
    )
    return clip.eval().requires_grad_(False)


def ours(clip: ClipModel, image: Tensor, tokens: Tensor) -> Tensor:
    """Relevance (1, gh, gw) of one image (1, 3, h, w) to one text (1, L)."""
    with torch.no_grad():
        text = clip.encode_text(tokens)
    return METHOD(clip, image, text, [torch.Generator(image.device).manual_seed(SEED)])


def timed(clip: ClipModel, image: Tensor, tokens: Tensor, precision: str) -> tuple[float, Tensor]:
    """Seconds of `ours` and its relevance, in a precision of the Trainer."""
    found: list[Tensor] = []
    with (
        encoders_in(clip, precision),
        torch.autocast(image.device.type, torch.bfloat16, enabled=precision != "32-true"),
    ):
        seconds = seconds_on(image.device.type, lambda: found.append(ours(clip, image, tokens)))
    return seconds, found[0]


def timed_plain(clip: ClipModel, image: Tensor, tokens: Tensor) -> tuple[float, Tensor]:
    """Seconds of the plain way and its relevance (gh, gw); its noise is drawn outside the clock."""
    shape = (METHOD.noise_samples, 1 + clip.grid[0] * clip.grid[1], 768)
    generator = torch.Generator(image.device).manual_seed(SEED)
    noise = [draw_noise([generator], shape, image.device)[0] for _ in range(METHOD.steps)]
    found: list[Tensor] = []
    seconds = seconds_on(
        image.device.type,
        lambda: found.append(plain_m2ib(clip, image, tokens, noise, LAYER, METHOD.beta)),
    )
    return seconds, found[0]


if __name__ == "__main__":
    main()
