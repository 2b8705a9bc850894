"""Effects of choices from the scores of single images, all comparisons named before anything is measured."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from statistics import mean
from typing import Any

from medsam_exp.metrics.clusters import picked
from medsam_exp.metrics.paired import PairedComparison, compare_pairs, holm

Setting = tuple[str, ...]
"""One level of each factor."""
Scores = Mapping[Setting, Mapping[str, float]]
"""DSC by setting and image; every setting has the same images."""


@dataclass(frozen=True)
class Effect:
    """What one level of a factor changes against the default level, on the same images.

    Attributes:
        factor: that is changed.
        level: of it.
        default: level to compare with.
        n: images.
        mean: of the level's DSC; over the levels of all other factors.
        difference: mean of level minus default.
        ci95: of the difference, by bootstrap over images, or patients where they are known; None when undefined.
        p: of Wilcoxon's signed-rank test; 1 where no image differs.
        corrected: `p` by Holm over all effects of the study; equal to `p` until `corrected_together`.
    """

    factor: str
    level: str
    default: str
    n: int
    mean: float
    difference: float
    ci95: tuple[float, float] | None
    p: float
    corrected: float

    def as_json(self) -> dict[str, Any]:
        """Rounded, as it is committed."""
        rounded = {"mean": round(self.mean, 3), "difference": round(self.difference, 3)}
        bounds = self.ci95 and [round(bound, 3) for bound in self.ci95]
        return (
            asdict(self)
            | rounded
            | {"ci95": bounds, "p": _three(self.p), "corrected": _three(self.corrected)}
        )


@dataclass(frozen=True)
class Choice:
    """DSC of the best setting: as it looks where it was chosen, and on images that did not choose it.

    Attributes:
        best: setting with the highest mean over all images.
        seen: its mean, which is too good, since the same images chose it.
        honest: mean when the images of each half are segmented by the setting that is best on the other half.
        default: mean of the default setting.
        gain: `honest` minus `default`, by image.
        ci95: of the gain; None when undefined.
    """

    best: Setting
    seen: float
    honest: float
    default: float
    gain: float
    ci95: tuple[float, float] | None


def main_effects(
    scores: Scores,
    factors: Sequence[str],
    default: Setting,
    controls: AbstractSet[str] = frozenset(),
    patients: Mapping[str, str] | None = None,
) -> list[Effect]:
    """Each level but the default's, against the default level, by image, averaged over the levels of other factors.

    Args:
        scores: of every combination of levels.
        factors: (k,) names, in the order of a setting.
        default: level of each factor to compare with.
        controls: levels that no other factor is averaged over, as it cannot matter there.
        patients: by image; None where unknown.
    """
    found = []
    for place, factor in enumerate(factors):
        levels = list(dict.fromkeys(setting[place] for setting in scores))
        own = {
            setting: by_image
            for setting, by_image in scores.items()
            if not _elsewhere(setting, place) & controls
        }
        base = _averaged(own, place, default[place])
        for level in levels:
            if level != default[place]:
                found.append(
                    _effect(factor, level, default[place], _averaged(own, place, level), base, patients)
                )
    return found


def corrected_together(effects: Sequence[Effect]) -> list[Effect]:
    """The same effects with p-values corrected for their number, by Holm."""
    corrected = holm([effect.p for effect in effects])
    return [replace(effect, corrected=p) for effect, p in zip(effects, corrected, strict=True)]


def honest_choice(scores: Scores, default: Setting, patients: Mapping[str, str] | None = None) -> Choice:
    """What choosing the best setting gains on images that had no part in choosing it.

    Every second image, by its id, is one half; a patient's images stay together.
    """
    ids = sorted(scores[default])
    groups = sorted({patients[name] if patients else name for name in ids})
    first = {group for place, group in enumerate(groups) if place % 2}
    halves = [
        [name for name in ids if ((patients[name] if patients else name) in first) is half]
        for half in (False, True)
    ]
    chosen: dict[str, float] = {}
    for own, other in (halves, halves[::-1]):
        best = _best(scores, other)
        chosen |= {name: scores[best][name] for name in own}
    comparison = _paired(
        [scores[default][name] for name in ids], [chosen[name] for name in ids], ids, patients
    )
    best = _best(scores, ids)
    return Choice(
        best,
        mean(scores[best].values()),
        comparison.mean_b,
        comparison.mean_a,
        comparison.difference,
        _bounds(comparison),
    )


def _elsewhere(setting: Setting, place: int) -> set[str]:
    """Levels of all other factors."""
    return {*setting[:place], *setting[place + 1 :]}


def _best(scores: Scores, ids: Sequence[str]) -> Setting:
    return max(scores, key=lambda setting: mean(scores[setting][name] for name in ids))


def _averaged(scores: Scores, place: int, level: str) -> dict[str, float]:
    """By image, the mean over all settings with a level."""
    own = [by_image for setting, by_image in scores.items() if setting[place] == level]
    return {name: mean(by_image[name] for by_image in own) for name in own[0]}


def _effect(
    factor: str,
    level: str,
    default: str,
    own: Mapping[str, float],
    base: Mapping[str, float],
    patients: Mapping[str, str] | None,
) -> Effect:
    ids = sorted(base)
    found = _paired([base[name] for name in ids], [own[name] for name in ids], ids, patients)
    p = 1.0 if found.wilcoxon_p is None else found.wilcoxon_p
    return Effect(
        factor, level, default, found.n, found.mean_b, found.difference, _bounds(found), p, corrected=p
    )


def _paired(
    a: Sequence[float], b: Sequence[float], ids: Sequence[str], patients: Mapping[str, str] | None
) -> PairedComparison:
    return compare_pairs(a, b, clusters=None if patients is None else picked(patients, ids))


def _bounds(found: PairedComparison) -> tuple[float, float] | None:
    return None if found.ci95 is None else (found.ci95[0], found.ci95[1])


def _three(p: float) -> float:
    """Three digits that count."""
    return float(f"{p:.3g}")
