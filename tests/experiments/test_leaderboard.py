"""The leaderboard: its page holds what is committed, and a part of it measured again is reached."""

from pathlib import Path

import pytest

from experiments.leaderboard.board import HERE, SCALE, read_scores
from experiments.leaderboard.collect import written
from experiments.reproduce.expected import read_expected
from experiments.reproduce.launch import launch
from experiments.reproduce.plan import read_table
from experiments.reproduce.results import read_results
from experiments.reproduce.sheets import lines_of
from medsam_exp.cli.info.costs import saliency_costs


def test_the_page_has_the_committed_figures_of_every_method() -> None:
    page = HERE / "README.md"
    assert page.read_text() == written(page)
    assert set(saliency_costs()) == {row.label for row in read_table("leaderboard", SCALE).sweeps[0].rows}
    assert set(saliency_costs()) < set(read_scores())


@pytest.mark.slow
def test_two_methods_measured_again_reach_the_committed_figures(tmp_path: Path) -> None:
    table = read_table("leaderboard", SCALE, ["saliency=patch_text,gem", f"paths.outputs={tmp_path}"])
    sweep = table.sweeps[0]
    assert not launch([sweep], tmp_path, 1, print)
    lines = lines_of(table, read_results(table), read_expected(table.name, SCALE))
    again = [line for line in lines if line.ours is not None]
    assert len(again) == len(sweep.rows) * len(sweep.columns) * 2, "coarse and SAM DSC of each cell"
    assert all(line.within for line in again)
