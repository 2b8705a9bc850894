"""Facts on a choice beside its words: papers, needs, weights and their licence, and what it scored on drawn scans."""

import csv
import importlib
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from docstrings import OWN, markdown

from experiments.leaderboard.board import MEASURES, TEXTS, mean_score, read_scores
from medsam_exp.cli.info.costs import full_size_costs, saliency_costs
from medsam_exp.cli.weights.catalogue import Weights, catalogue
from medsam_exp.clip.capabilities import MEANING
from medsam_exp.engine.training_data import Training, training_data

CODE = Path(__file__).with_name("code_licences.csv")
"""Whose code computes a choice, or whose it was written after, by its licence file; the first row that fits counts."""
_OF_METHODS = ("saliency", "prompt", "text_segmenter", "clip", "sam")
"""Groups of published methods and networks."""
_ARXIV = re.compile(r"arXiv[: ](\d{4}\.\d{4,5})")
_DOI = re.compile(r"doi[: ]\s*(10\.\d+/[^\s,;)]+)", re.I)


def facts(group: str, name: str, target: str, words: str) -> list[str]:
    """One line of Markdown for each fact that is known.

    Args:
        group: of the choice.
        name: of the choice.
        target: dotted name of what it builds, "" for none.
        words: what its file says, which may name papers too.
    """
    built = _Built(target)
    papers = dict.fromkeys([*_papers(words), *_papers(built.docstrings)])
    found = [f"Cites {', '.join(papers)}."] if papers else []
    if group == "saliency" and built.needs:
        found.append(f"Needs {MEANING[built.needs]}.")
    if group in _OF_METHODS and built.is_own:
        found.append(code_of(group, name))
    if weights := _weights().get(f"{group}={name}"):
        found.append(
            f"Weights: {markdown(weights.title)}; {weights.download_size}; licence: {markdown(weights.licence)}."
        )
        if weights.by_hand:
            found.append(f"By hand: {markdown(weights.by_hand)}.")
    found += _trained_on(group, name)
    if cost := full_size_costs().get((group, name)):
        text = f", {cost['text_s']} s a text" if cost["text_s"] else ""
        box = f", {cost['box_s']} s a box" if cost["box_s"] else ""
        found.append(
            f"At full size, with random weights: {cost['parameters_m']} M parameters, {cost['image_s']} s of one "
            f"thread an image{text}{box}, {cost['peak_gb']} GB at most, loading included."
        )
    return found + ([_measured(name)] if group == "saliency" and name in saliency_costs() else [])


def code_of(group: str, name: str) -> str:
    """Whose code computes a choice, and under which licence it is."""
    for row in code_rows():
        if row["group"] == group and fnmatch(name, row["choice"]):
            if not row["code"].startswith("https://"):
                return f"Code: a network of {row['code']} ({row['licence']}), wrapped here (Apache-2.0)."
            repository = row["code"].removeprefix("https://github.com/")
            return (
                f"Code: written anew here (Apache-2.0); its authors' is [{repository}]({row['code']}), licence: "
                f"{row['licence']}."
            )
    return "Code: written here (Apache-2.0)."


def _trained_on(group: str, name: str) -> list[str]:
    """What a choice's network was trained on, as far as its publishers say."""
    row = training_data().get(group, {}).get(name)
    if row is None or not row.trainings:
        return []
    said = "; then ".join(
        f"{each.of} with {each.kind}{_known(each)} ({markdown(each.source)})" for each in row.trainings
    )
    return [f"Trained on: {said}."]


def _known(training: Training) -> str:
    """Which of its datasets are named where they are not all."""
    if training.domain == "unknown":
        return ", of which nobody says whether medical images are among them"
    if training.domain == "general" or training.complete:
        return ""
    return f", of which {', '.join(training.datasets) or 'none'} is known by name"


@cache
def code_rows() -> list[dict[str, str]]:
    """The rows of `CODE`."""
    with CODE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


class _Built:
    """What a choice builds, as its own module and class say."""

    def __init__(self, target: str) -> None:
        self.docstrings, self.needs = "", None
        self.is_own = target.startswith(OWN)
        if self.is_own:
            module = importlib.import_module(target.rpartition(".")[0])
            thing = getattr(module, target.rpartition(".")[2])
            self.docstrings = f"{module.__doc__ or ''} {thing.__doc__ or ''}"
            self.needs = getattr(thing, "needs", None)


def _papers(text: str) -> Iterator[str]:
    for number in _ARXIV.findall(text):
        yield f"[arXiv {number}](https://arxiv.org/abs/{number})"
    for doi in _DOI.findall(text):
        yield f"[doi {doi.rstrip('.')}](https://doi.org/{doi.rstrip('.')})"


@cache
def _weights() -> dict[str, Weights]:
    return {weights.use: weights for weights in catalogue().values()}


def _measured(name: str) -> str:
    """Means over kinds of scans, from the committed leaderboard."""
    scores = read_scores()[name]
    texts = ", ".join(
        f"with the {text} {mean_score(scores, text, MEASURES[0]):.2f} "
        f"(coarse {mean_score(scores, text, MEASURES[1]):.2f})"
        for text in TEXTS
    )
    return (
        f"On drawn scans, DSC of SAM's mask with the embedded networks: {texts}; {saliency_costs()[name]:.3f} s of one "
        "thread an image (`experiments/leaderboard`)."
    )
