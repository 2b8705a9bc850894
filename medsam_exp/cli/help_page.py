"""The text of `python run.py --help`: the groups that most people change, then all others, each with its choices."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ADDED_GROUPS = frozenset({"experiment", "sweep", "component_ablation"})
"""Groups without a usual choice: they are added to a command with a plus sign."""
MAIN_GROUPS = {
    "experiment": "a prepared run",
    "data": "images",
    "text": "words",
    "clip": "image-text network",
    "saliency": "map of the text",
    "postprocess": "map to coarse mask",
    "prompt": "boxes and points for SAM",
    "sam": "segmenter",
    "trainer": "device",
    "logger": "tracking",
}
"""What most people change, in the order of the pipeline."""
OTHER_GROUPS = {
    "sweep": "axes to compare",
    "component_filter": "regions of the coarse mask",
    "fusion": "SAM's three proposals",
    "mask_filter": "regions of SAM's mask",
    "presence": "is the target there?",
    "veto": "empty masks where it is not",
    "metrics": "scores of masks",
    "text_segmenter": "rivals that take a text",
    "grounding": "control texts",
    "text_saliency": "words that matter",
    "calibration": "of the presence score",
    "pairs": "images and captions to train on",
    "fit": "length of a training",
    "loss": "of CLIP's fine-tuning",
    "optimizer": "of a training",
    "scheduler": "learning rate",
    "adaptation": "weights that are trained",
    "retrieval": "texts find images",
    "text_match": "does a mask fit its text?",
    "augmentation": "is a mask stable?",
    "search": "numbers to tune",
    "pruner": "ends bad trials early",
    "weak_label": "masks to train on",
    "label_ignore": "pixels not to learn from",
    "label_weight": "how often an image is drawn",
    "nnunet": "training of nnU-Net",
    "nnunet_schedule": "its learning rate",
    "nnunet_loss": "its loss",
    "ensemble": "nnU-Nets together",
    "uncertainty": "of an ensemble",
    "component_ablation": "the paper's Table 4",
    "paths": "folders",
    "limits": "how much a file may hold",
    "hydra/launcher": "how a sweep's jobs start",
}
_PAGE = """\
Text-driven medical image segmentation after MedCLIP-SAMv2.
Research use only; not a medical device.

Usage: {program} [GROUP=CHOICE ...] [KEY=VALUE ...]

  {program}
      segment drawn scans with the embedded models
  {program} +experiment=busi_zeroshot sam=vit_b
      a prepared experiment, with another choice of one group
  {program} data=folder data.root=DIR text=free text.text="a dark mass"
      your own images
  {program} -m saliency=m2ib,intensity seed=0,1
      a sweep: every combination

What most people change

{main}

The rest

{rest}

One key of a group: GROUP.KEY=VALUE, such as saliency.beta=0.5. A choice is a file conf/GROUP/CHOICE.yaml.

  --cfg job             print the whole configuration and run nothing (--package GROUP: of one group)
  -m                    a sweep: commas divide values
  --config-dir FOLDER   choices of your own, FOLDER/GROUP/CHOICE.yaml
  -sc install=SHELL     completion for bash, zsh or fish
  --hydra-help          all options
"""
_INDENT = 6
_WIDEST = 100


def help_page(program: str, folders: Sequence[Path]) -> str:
    """The page.

    Args:
        program: what was typed to start, such as "python run.py".
        folders: of choices, `GROUP/CHOICE.yaml`.
    """
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    own = {
        path.name: "of your own" for folder in folders for path in sorted(folder.iterdir()) if path.is_dir()
    }
    others = {
        **OTHER_GROUPS,
        **{name: said for name, said in own.items() if name not in _SHOWN | _NO_CHOICES},
    }
    parts = {
        name: "\n".join(_lines(groups, folders, width))
        for name, groups in (("main", MAIN_GROUPS), ("rest", others))
    }
    return _PAGE.format(program=program, **parts)


_SHOWN = MAIN_GROUPS.keys() | OTHER_GROUPS.keys()
_NO_CHOICES = {"hydra", "tuned", "wandb_sweep"}  # taken by themselves, or by W&B


def _lines(groups: Mapping[str, str], folders: Sequence[Path], width: int) -> Iterator[str]:
    for group, word in groups.items():
        choices = sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})
        yield f"  {'+' * (group in ADDED_GROUPS)}{group}=  {word}"
        indent = " " * _INDENT
        yield textwrap.fill(", ".join(choices), width, initial_indent=indent, subsequent_indent=indent)
