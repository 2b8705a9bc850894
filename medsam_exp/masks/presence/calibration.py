"""From features and true presence to a probability: logistic regression (Platt scaling) and its file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from medsam_exp.masks.presence.features import FEATURES
from medsam_exp.metrics.clusters import Clusters, numbered
from medsam_exp.runtime.digests import write_atomically
from medsam_exp.runtime.foreign import naming_the_file, read_json
from medsam_exp.runtime.json_text import json_text
from medsam_exp.types import UserError

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Calibration:
    """A logistic regression and where it comes from.

    Attributes:
        features: names of the F features it looks at.
        mean: (F,) subtracted from them.
        scale: (F,) they are divided by, > 0.
        weights: (F,) of the standardised features.
        intercept: log-odds at their mean.
        absence_texts: that the features were made with.
        nonsense_texts: likewise.
        network: fingerprint of the CLIP model's weights.
        provenance: data, split, seed, numbers of images, what it reached there.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    absence_texts: tuple[str, ...]
    nonsense_texts: tuple[str, ...]
    network: str
    provenance: Mapping[str, Any]

    def probability(self, features: Mapping[str, float]) -> float:
        """Probability in [0, 1] of features by name."""
        values = np.array([features[name] for name in self.features])
        odds = ((values - self.mean) / self.scale) @ np.array(self.weights) + self.intercept
        return float(np.exp(-np.logaddexp(0, -odds)))

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_atomically(path, (json_text(asdict(self), indent=1) + "\n").encode())


_SHAPE = TypeAdapter(Calibration)


def read_calibration(path: Path) -> Calibration:
    """Read what `Calibration.write` wrote.

    Raises:
        UserError: it is no such file, or its numbers are not finite.
    """
    mend = "give one that the stage calibrate has written"
    content = read_json(path, mend)
    with naming_the_file(path, "is no calibration", mend):
        try:
            calibration = _SHAPE.validate_python(
                {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
            )
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            if first["type"] == "missing":
                raise UserError(f"{path} is no calibration (it has no {place}): {mend}") from error
            raise UserError(f"{path}: {place} is {first['input']!r:.60} ({first['msg']}): {mend}") from error
    _refuse_broken(calibration, path)
    return calibration


def _refuse_broken(calibration: Calibration, path: Path) -> None:
    """Refuse numbers that would make every probability NaN."""
    for name in ("mean", "scale", "weights", "intercept"):
        try:
            values = np.asarray(getattr(calibration, name), np.float64)
        except (TypeError, ValueError):
            values = np.array(np.nan)
        wanted = () if name == "intercept" else (len(calibration.features),)
        if (
            values.shape != wanted
            or not np.isfinite(values).all()
            or (name == "scale" and (values <= 0).any())
        ):
            raise UserError(
                f"{path}: {name} is {getattr(calibration, name)}, but it must be finite, one number for each feature"
                f"{' and above 0' if name == 'scale' else ''}; give a file that the stage calibrate has written"
            )


def fit_logistic(
    values: NDArray[np.float64], present: NDArray[np.bool_], regularization: float
) -> dict[str, Any]:
    """Fit a logistic regression on standardised features.

    Args:
        values: (n, F).
        present: (n,) whether the target is there.
        regularization: strength of the L2 penalty on the weights, > 0; scikit-learn's 1 / C.

    Returns:
        `mean`, `scale`, `weights` (F,) and `intercept`, as `Calibration` takes them.
    """
    model = _model(regularization).fit(values, present)
    scaler, regression = model[0], model[1]
    columns = {"mean": scaler.mean_, "scale": scaler.scale_, "weights": regression.coef_[0]}
    return {
        **{name: tuple(float(value) for value in column) for name, column in columns.items()},
        "intercept": float(regression.intercept_[0]),
    }


def out_of_fold(
    values: NDArray[np.float64],
    present: NDArray[np.bool_],
    regularization: float,
    folds: int,
    seed: int,
    clusters: Clusters | None = None,
) -> NDArray[np.float64]:
    """(n,) probability of each image by a regression that has seen neither it nor its patient.

    Args:
        values: (n, F).
        present: (n,) whether the target is there.
        regularization: as of `fit_logistic`.
        folds: how many regressions.
        seed: of the division.
        clusters: (n,) each image's patient; None where patients are unknown.

    Raises:
        UserError: patients cannot be divided so that every regression sees images with the target and without.
    """
    from sklearn.model_selection import (
        StratifiedGroupKFold,
        StratifiedKFold,
        cross_val_predict,
    )  # slow, and every run checks this module

    members = numbered(clusters)
    splitter = (StratifiedKFold if members is None else StratifiedGroupKFold)(
        folds, shuffle=True, random_state=seed
    )
    parts = list(splitter.split(values, present, members))
    if any(len(unseen) == 0 or np.ptp(present[seen].astype(int)) == 0 for seen, unseen in parts):
        raise UserError(
            f"calibration.folds={folds} parts of whole patients leave one without images, or its regression without "
            "images with the target or lacking it: lower calibration.folds or give more patients"
        )
    predicted = cross_val_predict(_model(regularization), values, present, cv=parts, method="predict_proba")
    probability: NDArray[np.float64] = predicted[:, 1]
    return probability


def feature_table(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> NDArray[np.float64]:
    """(n, F) features of n images.

    Raises:
        UserError: a name is unknown.
    """
    unknown = sorted(set(names) - set(FEATURES))
    if unknown or not names:
        raise UserError(f"calibration.features has {unknown or 'nothing'}; choose from {', '.join(FEATURES)}")
    return np.array([[row[name] for name in names] for row in rows], np.float64)


def _model(regularization: float) -> "Pipeline":
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=1 / regularization))
