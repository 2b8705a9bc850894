"""Presence score with a meaning: a probability by logistic regression on features, fitted on declared masks."""

from collections.abc import Mapping
from pathlib import Path

from medsam_exp.masks.presence.calibration import Calibration, read_calibration
from medsam_exp.types import UserError

PACKAGED = Path(__file__).parent / "tiny_clip.json"
"""For the embedded tiny CLIP on drawn scans (conf/data/phantom_calibration.yaml)."""


class Calibrated:
    """The probability that a text's target is in an image, by a calibration that was fitted before.

    Args:
        file: as the stage `calibrate` writes it; None takes that of the embedded tiny CLIP.

    Raises:
        UserError: the file is missing or is no calibration.
    """

    def __init__(self, file: str | None) -> None:
        self._path = _path(file)
        self._calibration: Calibration = read_calibration(self._path)
        self.absence_texts = self._calibration.absence_texts
        self.nonsense_texts = self._calibration.nonsense_texts
        made = self._calibration.provenance
        if missing := [key for key in ("images", "data", "split") if key not in made]:
            raise UserError(
                f"{self._path}: provenance does not say {', '.join(missing)}; give a file that the stage calibrate has "
                "written"
            )
        self.calibrated_on = f"{made['images']} images of {made['data']} ({made['split']})"

    def __call__(self, features: Mapping[str, float]) -> float:
        """Probability in [0, 1]."""
        return self._calibration.probability(features)

    def check_network(self, fingerprint: str) -> None:
        """Refuse a CLIP model with other weights than those that were calibrated.

        Raises:
            UserError: it has other weights.
        """
        made_for = self._calibration.network
        if fingerprint != made_for:
            raise UserError(
                f"presence.file={self._path} was calibrated for the CLIP weights {made_for}, but this run has "
                f"{fingerprint}; calibrate for these ('stages=[saliency,presence,calibrate]'), or use "
                "presence=clip_contrast"
            )


def weight_files(file: str | None) -> list[Path]:
    """The file whose content decides the score."""
    return [_path(file)]


def _path(file: str | None) -> Path:
    path = PACKAGED if file is None else Path(file).expanduser()
    if not path.is_file():
        raise UserError(
            f"presence.file={path} is not a file; give one that the stage calibrate has written, or null"
        )
    return path
