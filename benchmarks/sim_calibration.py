"""Do temperature and ECE tell a calibrated network from one too sure? `python -m benchmarks.sim_calibration`.

Scans are drawn whose pixels are target with exactly the probability that is predicted, though neighbours err together
as real ones do. Their temperature is 1 and their calibration error 0, whatever a region of pixels makes of them.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.fft import fftfreq, irfft2, rfft2, rfftfreq
from scipy.ndimage import distance_transform_edt
from scipy.special import ndtr

from medsam_exp.nnunet.uncertainty.reliability import ReliabilityBins, near_prediction
from medsam_exp.nnunet.uncertainty.temperature import apply_temperature, fit_temperature, temperature_interval
from medsam_exp.types import Mask

SIDE = 160
CORRELATIONS = (4, 10, 20)
"""Pixels over which probabilities and errors vary: sigma of the filter that smooths white noise."""
IMAGES = (10, 40, 160)
REPEATS = 8
SHARPENED = 2.0
"""Temperature by which the network that is too sure was sharpened."""

Probability = NDArray[np.floating[Any]]
Region = Callable[[Probability, Mask], Mask]


def main() -> None:
    """Print temperature and calibration error by region, and how many intervals hold the true temperature 1."""
    console = Console()
    for name, region in REGIONS.items():
        table = Table(
            "correlation", "images", "T", "T of one too sure", "ECE", "intervals that hold 1", title=name
        )
        for correlation in CORRELATIONS:
            for images in IMAGES:
                table.add_row(f"{correlation} px", str(images), *_row(correlation, images, region))
        console.print(table)


def draw_scan(generator: np.random.Generator, correlation: float) -> tuple[Probability, Mask]:
    """One scan's predicted probabilities and its truth, of one round object with an uncertain border.

    The prediction is a threshold's chance: target is where a latent score, known to the network, lies above a field
    of noise, unknown to it, whose values are standard normal at every pixel. So P(target | prediction) = prediction.

    Args:
        generator: decides everything.
        correlation: of both fields, in pixels.

    Returns:
        (SIDE, SIDE) probabilities, and the truth, bool.
    """
    radius, (y, x) = generator.uniform(14, 28), generator.uniform(SIDE / 4, 3 * SIDE / 4, 2)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside = (radius - np.hypot(rows - y, columns - x)) / 6
    score = np.clip(inside, -6, 6) + 0.7 * noise_field(generator, correlation)
    return ndtr(score), score > noise_field(generator, correlation)


def noise_field(generator: np.random.Generator, correlation: float) -> Probability:
    """(SIDE, SIDE) smooth noise, standard normal at every pixel; cut out of a larger one that is periodic."""
    side = SIDE + 4 * int(correlation)
    rows, columns = fftfreq(side)[:, None], rfftfreq(side)
    kernel = np.exp(-2 * (np.pi * correlation) ** 2 * (rows**2 + columns**2))
    smooth = irfft2(rfft2(generator.standard_normal((side, side))) * kernel, (side, side))
    deviation = np.linalg.norm(irfft2(kernel, (side, side)))
    return np.asarray(smooth[:SIDE, :SIDE] / deviation)


def _near_prediction(probability: Probability, truth: Mask) -> Mask:  # noqa: ARG001 (shared interface)
    return near_prediction(probability)


def _whole_image(probability: Probability, truth: Mask) -> Mask:  # noqa: ARG001 (shared interface)
    return np.ones(probability.shape, bool)


def near_truth(probability: Probability, truth: Mask) -> Mask:
    """Pixels near the predicted or the true object: a region that looks at the truth, as a warning."""
    return np.asarray(distance_transform_edt(~((probability > 0.5) | truth)) <= 10)


REGIONS: dict[str, Region] = {
    "near what is predicted (used)": _near_prediction,
    "whole image": _whole_image,
    "near the predicted or true object (biased)": near_truth,
}


def measured(
    scans: list[tuple[Probability, Mask]], region: Region
) -> tuple[float, float, tuple[float, float] | None]:
    """Temperature, calibration error and the temperature's interval of some scans."""
    bins, pixels = ReliabilityBins(), []
    for probability, truth in scans:
        places = np.flatnonzero(region(probability, truth))[::3]
        pixels.append((probability.ravel()[places], truth.ravel()[places]))
        bins.add(*pixels[-1])
    temperature = fit_temperature(*map(np.concatenate, zip(*pixels, strict=True)))
    return temperature, bins.ece(), temperature_interval(pixels, temperature)


def _row(correlation: int, images: int, region: Region) -> list[str]:
    found, sure, errors, held = [], [], [], 0
    for repeat in range(REPEATS):
        generator = np.random.default_rng([correlation, images, repeat])
        scans = [draw_scan(generator, correlation) for _ in range(images)]
        temperature, error, interval = measured(scans, region)
        too_sure = [(apply_temperature(p, 1 / SHARPENED), y) for p, y in scans]
        found.append(temperature)
        sure.append(measured(too_sure, region)[0])
        errors.append(error)
        held += interval is not None and interval[0] <= 1 <= interval[1]
    spread = [f"{np.mean(each):.3f} +- {np.std(each, ddof=1):.3f}" for each in (found, sure)]
    return [*spread, f"{np.mean(errors):.3f}", f"{held} of {REPEATS}"]


if __name__ == "__main__":
    main()
