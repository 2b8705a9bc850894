"""From measured facts to findings: all checks, in one place."""

from dataclasses import dataclass

from medsam_exp.curation.quality.check_copies import check_copies, check_splits
from medsam_exp.curation.quality.check_files import check_files, check_images
from medsam_exp.curation.quality.check_masks import check_masks
from medsam_exp.curation.quality.copies import Copies, find_copies
from medsam_exp.curation.quality.finding import KINDS, SEVERITIES, Finding, Severity
from medsam_exp.curation.quality.survey import Survey


@dataclass(frozen=True)
class Examination:
    """A dataset and all that was found in it.

    Attributes:
        survey: the dataset and the facts about it.
        copies: images that are the same or nearly so.
        findings: errors first, kinds in the order of `KINDS`.
    """

    survey: Survey
    copies: Copies
    findings: tuple[Finding, ...]

    def of(self, severity: Severity) -> list[Finding]:
        """Findings of one severity."""
        return [finding for finding in self.findings if KINDS[finding.kind].severity == severity]

    def by_kind(self) -> dict[str, list[Finding]]:
        """Findings by kind; kinds without one are left out."""
        found: dict[str, list[Finding]] = {}
        for finding in self.findings:
            found.setdefault(finding.kind, []).append(finding)
        return found


def examine(survey: Survey, *, near: bool = True) -> Examination:
    """Run all checks.

    Args:
        survey: the dataset and the facts about it.
        near: whether to look for nearly the same images, too.
    """
    copies = find_copies(survey.images, near=near)
    found = [
        *check_files(survey),
        *check_copies(survey, copies),
        *check_splits(survey),
        *check_masks(survey),
        *check_images(survey),
    ]
    return Examination(survey, copies, tuple(sorted(found, key=_place)))


def examine_files(survey: Survey, copies: Copies) -> Examination:
    """Run the checks that need no pixels.

    Args:
        survey: the dataset; facts are not needed.
        copies: what is known of them.
    """
    found = [*check_files(survey), *check_copies(survey, copies), *check_splits(survey)]
    return Examination(survey, copies, tuple(sorted(found, key=_place)))


def _place(finding: Finding) -> tuple[int, int, tuple[str, ...], str]:
    severity = SEVERITIES.index(KINDS[finding.kind].severity)
    return severity, _KIND_PLACES[finding.kind], finding.items, finding.mask


_KIND_PLACES: dict[str, int] = {kind: place for place, kind in enumerate(KINDS)}
