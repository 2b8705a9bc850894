"""From an image and a text to SAM's mask, plain against ours: `python -m benchmarks.bench_end_to_end [FOLDER OF PNG]`.

BiomedCLIP and SAM ViT-B at full size with random weights, on one thread; without a folder on drawn scans.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import find_objects, label
from segment_anything import SamPredictor
from segment_anything.modeling import Sam
from torch import Tensor, nn

from benchmarks.plain_host import (
    plain_confident_components,
    plain_otsu,
    plain_read,
    plain_to_original_frame,
)
from medsam_exp.cli.benchmark.arithmetic import processor_seconds
from medsam_exp.cli.benchmark.m2ib import LAYER, METHOD, SEED, biomedclip_with_random_weights
from medsam_exp.cli.benchmark.plain_m2ib import plain_m2ib
from medsam_exp.cli.benchmark.rows import Row, print_rows
from medsam_exp.cli.benchmark.sam_encoder import random_vit_b
from medsam_exp.clip.model import ClipModel
from medsam_exp.data.decoding import read_image
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.masks.component_filter.confidence import ConfidentComponents
from medsam_exp.masks.postprocess.otsu import Otsu
from medsam_exp.metrics.overlap import iou
from medsam_exp.runtime.heap import keep_freed_memory
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.saliency.bottleneck import draw_noise
from medsam_exp.sam.fusion.single import SingleMask
from medsam_exp.sam.model import SamModel
from medsam_exp.sam.prompt.box import BoxPerComponent
from medsam_exp.stages.pipeline import STAGES, Stage
from medsam_exp.training.precision import encoders_in
from medsam_exp.training.prediction import ImageBatch
from medsam_exp.training.saliency import ImageSaliency
from medsam_exp.training.sam_inference import sam_answers
from medsam_exp.types import Mask, Prompts, RGBImage

IMAGES, PLAIN_IMAGES = 8, 1
BINS, CONFIDENCE = 256, 0.5
TEXT = "a dark, irregular mass"


def main() -> None:
    """Print seconds an image of both ways."""
    print_rows("One thread", rows(*map(Path, sys.argv[1:2])))


def rows(folder: Path | None = None) -> Iterator[Row]:
    """Eight images in bf16-mixed, as a run computes them; the plain way in float32, on the first of them alone.

    Args:
        folder: with PNG images; None draws scans.
    """
    torch.set_num_threads(1)
    clip, original = biomedclip_with_random_weights(), random_vit_b()
    clip.tokenizer = lambda texts: torch.randint(
        1000, 28000, (len(texts), 256), generator=torch.Generator().manual_seed(SEED)
    )
    with TemporaryDirectory() as drawn:
        paths = sorted((folder or _draw(Path(drawn))).glob("*.png"))[:IMAGES]
        plain: list[Mask] = []
        plain_seconds = processor_seconds(
            lambda: plain.extend(plain_mask(clip, original, path) for path in paths[:PLAIN_IMAGES])
        )
        keep_freed_memory()  # as a run does
        sam, ours = SamModel(original), dict[str, Mask]()
        our_seconds = processor_seconds(lambda: ours.update(our_masks(clip, sam, paths)))
        yield Row(
            f"image and text to mask, {len(paths)} images, plain on {PLAIN_IMAGES}",
            "s an image",
            plain_seconds / PLAIN_IMAGES,
            our_seconds / len(paths),
            note=f"IoU of the first masks {iou(plain[0], ours[paths[0].name]):.3f}",
        )


def our_masks(clip: ClipModel, sam: SamModel, paths: Sequence[Path]) -> Iterator[tuple[str, Mask]]:
    """Each image's name and its mask (H, W), by the default methods of a run."""
    otsu, confident, prompter = Otsu(BINS), ConfidentComponents(CONFIDENCE), BoxPerComponent()
    images = {path.name: read_image(path) for path in paths}
    saliency = ImageSaliency(clip, METHOD, {"text": dict.fromkeys(images, (TEXT,))}, SEED)
    prompts: dict[str, Prompts] = {}
    with (
        encoders_in(nn.ModuleList([clip, sam]), "bf16-mixed"),
        torch.autocast("cpu", torch.bfloat16),
        torch.no_grad(),
    ):
        for batch in _batches(images, saliency.geometry.preprocess, STAGES["saliency"]):
            for name, results in saliency(batch):
                found = results["text"].saliency_map
                coarse = confident(otsu(found, images[name]), found)
                prompts[name] = prompter(coarse, np.random.default_rng(SEED))
        for batch in _batches(images, sam.preprocess, STAGES["sam_mask"]):
            for name, answer in sam_answers(sam, lambda _: SingleMask(), prompts.__getitem__, batch):
                yield name, answer.mask


def _batches(
    images: Mapping[str, RGBImage], preprocess: Callable[[RGBImage], Tensor], stage: Stage
) -> Iterator[ImageBatch]:
    """Batches of the size that a stage of a run has."""
    size, all_names = stage.batch_size or 1, list(images)
    for names in (all_names[start : start + size] for start in range(0, len(all_names), size)):
        pixels = torch.stack([preprocess(images[name]) for name in names])
        yield ImageBatch(tuple(names), tuple(images[name].shape[:2] for name in names), pixels)


def plain_mask(clip: ClipModel, sam: Sam, path: Path) -> Mask:
    """The mask (H, W) of one image by the same steps in their plainest form."""
    image = plain_read(path)
    generator = torch_generator(SEED, path.name, "saliency", device=torch.device("cpu"))
    shape = (METHOD.noise_samples, 1 + clip.grid[0] * clip.grid[1], 768)
    noise = [draw_noise([generator], shape, "cpu")[0] for _ in range(METHOD.steps)]
    pixels, tokens = clip.preprocess(image)[None], clip.tokenize([TEXT])
    relevance = plain_m2ib(clip, pixels, tokens, noise, LAYER, METHOD.beta)
    found = plain_to_original_frame(relevance, image.shape[:2])
    coarse = plain_confident_components(plain_otsu(found, BINS), found, CONFIDENCE)
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    united = np.zeros(image.shape[:2], bool)
    for rows, columns in find_objects(label(coarse, structure=np.ones((3, 3)))[0]):
        box = np.array([columns.start, rows.start, columns.stop, rows.stop])
        united |= predictor.predict(box=box, multimask_output=False)[0][0]
    return united


def _draw(folder: Path) -> Path:
    """Write drawn scans as PNG into a folder."""
    scans = PhantomDataset(seed=SEED, count=IMAGES)
    for sample in scans.samples:
        Image.fromarray(scans.read_image(sample.id)).save(folder / f"{sample.id}.png")
    return folder


if __name__ == "__main__":
    main()
