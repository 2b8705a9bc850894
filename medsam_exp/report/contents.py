"""The sections of a run's report, in their order: what the console prints and the page shows."""

from collections.abc import Mapping
from typing import Any

from medsam_exp.report.section import Section
from medsam_exp.report.topics.grounding import grounding_section
from medsam_exp.report.topics.retrieval import retrieval_section
from medsam_exp.report.topics.scores import scores_section
from medsam_exp.report.topics.tuning import tuning_section
from medsam_exp.report.topics.uncertainty import uncertainty_section
from medsam_exp.report.topics.weak import comparison_section, labels_section


def contents(summary: Mapping[str, Any], *, has_images: bool = False) -> list[Section]:
    """What a run found, topic by topic; topics that it has nothing of are left out.

    Args:
        summary: content of summary.json.
        has_images: whether the run made masks, so that missing scores are to be explained.
    """
    found = (
        scores_section(summary, has_images=has_images),
        comparison_section(summary),
        uncertainty_section(summary),
        labels_section(summary),
        retrieval_section(summary),
        grounding_section(summary),
        tuning_section(summary),
    )
    return [section for section in found if section is not None]
