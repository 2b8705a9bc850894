"""Time the methods of the leaderboard and write its page: `python -m experiments.leaderboard.collect`."""

import csv
from pathlib import Path

import torch

from experiments.leaderboard.board import HERE, SCALE, markdown_tables, read_scores
from experiments.reproduce.plan import read_table
from medsam_exp.cli.benchmark.arithmetic import processor_seconds
from medsam_exp.cli.compose import composed, register
from medsam_exp.cli.info.costs import SALIENCY, saliency_costs
from medsam_exp.clip.model import ClipModel
from medsam_exp.config.build import build
from medsam_exp.runtime.seeding import torch_generator
from medsam_exp.training.embeddings import TextEmbeddings

MARK = "<!-- written by experiments.leaderboard.collect from here on -->\n"
_SCANS, _ROUNDS = 4, 3
_CPU = torch.device("cpu")


def main() -> None:
    """Measure costs, keep them, write the page."""
    register()
    torch.set_num_threads(1)
    methods = read_table("leaderboard", SCALE).sweeps[0].grid.axes["saliency"]
    with SALIENCY.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["saliency", "processor_seconds_an_image"])
        writer.writerows([name, f"{seconds_an_image(name):.4f}"] for name in methods)
    page = HERE / "README.md"
    page.write_text(written(page))


def written(page: Path) -> str:
    """The page with its tables as the committed figures have them."""
    head, _, _ = page.read_text().partition(MARK)
    return f"{head}{MARK}\n{markdown_tables(read_scores(), saliency_costs())}\n"


def seconds_an_image(saliency: str) -> float:
    """Processor seconds of a map of one drawn scan, one thread, the text's embedding apart: the best of some rounds."""
    cfg = composed([f"saliency={saliency}", "data=phantom_heldout"])
    clip: ClipModel = build(cfg.clip).eval()
    method, data = build(cfg.saliency), build(cfg.data)
    names = [sample.id for sample in data.samples[:_SCANS]]
    geometry = method.geometry(clip)
    images = {name: geometry.preprocess(data.read_image(name))[None] for name in names}
    text = TextEmbeddings(clip).mean_of((data.target,), _CPU)[None]

    def work() -> None:
        with torch.enable_grad():
            for name, image in images.items():
                method(clip, image, text, [torch_generator(0, name, "saliency", device=_CPU)])

    return min(processor_seconds(work) for _ in range(_ROUNDS)) / len(images)


if __name__ == "__main__":
    main()
