import json
import multiprocessing
from pathlib import Path

import pytest
import torch.distributed as dist

from medsam_exp.metrics.scores import SegmentationMeasures
from medsam_exp.metrics.summary import summarise
from medsam_exp.metrics.torchmetric import SegmentationScores
from tests.metrics.squares import MEASURES, SPACING, pair


def summarised(indices: list[int]) -> dict[str, dict[str, float | list[float]]]:
    scores = SegmentationScores(MEASURES, seed=4)
    for index in indices:
        prediction, truth = pair(index)
        scores.update([index], [prediction], [truth], [SPACING])
    return dict(scores.compute())


def test_summary_over_images() -> None:
    rows = [MEASURES(*pair(index), SPACING) for index in range(11)]
    summary = summarised(list(range(11)))
    assert summary == {name: summarise([row[name] for row in rows], seed=4) for name in rows[0]}
    assert summary["dsc"]["n"] == 11
    assert len({str(figures["mean"]) for figures in summary.values()}) == 5


def test_order_and_repetition_of_samples_do_not_matter() -> None:
    expected = summarised(list(range(11)))
    assert summarised([7, 3, 0, 10, 1, 2, 9, 4, 8, 6, 5]) == expected
    assert summarised([*range(11), 0, 1, 1]) == expected


def test_images_of_different_and_unknown_pixel_size() -> None:
    measures = SegmentationMeasures(nsd_tolerance=1.0, tolerance_unit="px")
    spacings = [None, (0.5, 0.5), (2.0, 1.0), None, (0.4, 0.8)]
    scores = SegmentationScores(measures, seed=4)
    for index, spacing in enumerate(spacings):
        scores.update([index], [pair(index)[0]], [pair(index)[1]], [spacing])
    rows = [measures(*pair(index), spacing) for index, spacing in enumerate(spacings)]
    in_mm = [row["hd95_mm"] for row in rows if "hd95_mm" in row]
    assert len(in_mm) == 3
    assert scores.compute()["hd95_mm"] == summarise(in_mm, seed=4)
    assert scores.compute()["hd95_px"] == summarise([row["hd95_px"] for row in rows], seed=4)
    without = SegmentationScores(measures)
    without.update([0], [pair(0)[0]], [pair(0)[1]], [None])
    assert tuple(without.compute()) == measures.names(None)


def test_before_the_first_image_and_after_a_reset() -> None:
    scores = SegmentationScores(MEASURES)
    scores.update([3], [pair(3)[0]], [pair(3)[1]], [SPACING])
    scores.reset()
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert scores.compute() == {}


@pytest.mark.filterwarnings("ignore:The ``compute`` method")  # a process without samples has seen no update
@pytest.mark.parametrize(
    "shares",
    [[[0, 2, 4, 6, 8, 10], [1, 3, 5, 7, 9, 0]], [list(range(11)), []]],
    ids=["an extra sample to pad", "an idle process"],
)
def test_two_processes_give_the_figures_of_one(tmp_path: Path, shares: list[list[int]]) -> None:
    context = multiprocessing.get_context("fork")  # a fresh interpreter would import for ten seconds
    processes = [context.Process(target=score_one_share, args=(tmp_path, rank, shares)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    expected = summarised(list(range(11)))
    for rank in range(2):
        assert json.loads((tmp_path / f"rank{rank}.json").read_text()) == expected


def score_one_share(folder: Path, rank: int, shares: list[list[int]]) -> None:
    """One process of the test above."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    (folder / f"rank{rank}.json").write_text(json.dumps(summarised(shares[rank])))
    dist.destroy_process_group()
