"""The topics of a run's report, in their order: what the console prints and the page shows.

Topics of other packages follow these: `register_topic` adds one, and an installed package names the module that calls
it as an entry point of the group `medsam_exp.topics`, so that every run shows it.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from medsam_exp.report.pictures import Picture
from medsam_exp.report.results import RunResults
from medsam_exp.report.section import Section
from medsam_exp.report.topics.cases import draw_cases, draw_distribution, draw_words
from medsam_exp.report.topics.grounding import draw_controls, draw_presence, grounding_section
from medsam_exp.report.topics.retrieval import retrieval_section
from medsam_exp.report.topics.scores import scores_section
from medsam_exp.report.topics.supervision import supervision_section
from medsam_exp.report.topics.tuning import tuning_section
from medsam_exp.report.topics.uncertainty import draw_doubt, draw_review, uncertainty_section
from medsam_exp.report.topics.weak import comparison_section, labels_section
from medsam_exp.runtime.extensions import load_extensions
from medsam_exp.types import UserError

ENTRY_POINTS = "medsam_exp.topics"
"""Group of entry points that name modules which register topics."""

Topic = Callable[[Mapping[str, Any]], Section | None]
"""Makes a section of the content of summary.json; None where a run has nothing of the topic."""
TOPICS: dict[str, Topic] = {
    "scores": scores_section,
    "supervision": supervision_section,
    "comparison": comparison_section,
    "uncertainty": uncertainty_section,
    "labels": labels_section,
    "retrieval": retrieval_section,
    "grounding": grounding_section,
    "tuning": tuning_section,
}
"""By name, in the order of the report."""
_PICTURES = (
    draw_cases,
    draw_distribution,
    draw_doubt,
    draw_review,
    draw_words,
    draw_presence,
    draw_controls,
)


def register_topic(name: str, topic: Topic) -> None:
    """Add a topic of another package; call it when a module of that package is imported.

    Args:
        name: of the topic.
        topic: makes its section.

    Raises:
        UserError: there is another one of this name.
    """
    if TOPICS.setdefault(name, topic) is not topic:
        raise UserError(f"topic {name!r} exists already; give the topic another name")


def contents(summary: Mapping[str, Any]) -> list[Section]:
    """What a run found, topic by topic; topics that it has nothing of are left out.

    Args:
        summary: content of summary.json.
    """
    return [section for topic in TOPICS.values() if (section := topic(summary)) is not None]


def pictures_of(results: RunResults) -> Iterator[Picture]:
    """All pictures of a run over images, in the order of the page."""
    return itertools.chain.from_iterable(draw(results) for draw in _PICTURES)


load_extensions(ENTRY_POINTS)
