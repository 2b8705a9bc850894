import io
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from medsam_exp.report.console import print_summary


def printed(summary: dict[str, Any], run_dir: Path, encoding: str = "utf-8", **options: Any) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    print_summary(summary, run_dir, Console(file=file, **options))
    file.flush()
    return raw.getvalue().decode(encoding)


def test_table_says_mean_spread_and_interval_by_stage(summary: dict[str, Any], tmp_path: Path) -> None:
    lines = printed(summary, tmp_path).splitlines()
    head = next(n for n, line in enumerate(lines) if line.startswith("stage"))
    assert lines[head].split() == ["stage", "DSC", "HD95", "(px)", "n"]
    assert lines[head + 1].split() == ["coarse", "0.613", "±", "0.111", "9.2", "±", "0.1", "3"]
    assert lines[head + 2].split() == ["[0.563,", "0.663]", "[9.1,", "9.2]"]
    assert lines[head + 3].startswith("sam")


def test_plain_text_when_not_on_a_terminal(summary: dict[str, Any], tmp_path: Path) -> None:
    plain = printed(summary, tmp_path)
    assert "\x1b" not in plain
    assert not set(plain) & set("─━│┃┏┓╇")
    assert "\x1b" in printed(summary, tmp_path, force_terminal=True, color_system="standard")


@pytest.mark.parametrize("width", [110, 80, 60, 40])
def test_no_figure_is_cut_on_a_narrow_terminal(summary: dict[str, Any], tmp_path: Path, width: int) -> None:
    said = printed(summary, tmp_path, force_terminal=True, color_system=None, width=width)
    assert "…" not in said
    for figure in ("0.613", "0.111", "0.563", "9.2", "coarse", "sam"):
        assert figure in said


def test_time_and_reuse(summary: dict[str, Any], tmp_path: Path) -> None:
    assert "saliency 2.5 s, sam_mask 0.0 s (3 reused)" in printed(summary, tmp_path)


def test_the_rest_of_the_time_is_said_too(summary: dict[str, Any], tmp_path: Path) -> None:
    said = io.StringIO()
    print_summary(summary, tmp_path, Console(file=said), started=time.time() - 10)
    assert "(3 reused), start, checks and report 7.5 s" in said.getvalue()


def test_the_distance_of_an_empty_mask_is_explained(summary: dict[str, Any], tmp_path: Path) -> None:
    sentence = "HD95 of an empty mask is the image's diagonal"
    assert sentence not in printed(summary, tmp_path)
    missed = {"sam/missed": {"mean": 1 / 3, "std": 0.5, "ci95": None, "n": 3}}
    assert sentence in printed({**summary, "metrics": {**summary["metrics"], **missed}}, tmp_path)


def test_paths_are_never_broken(summary: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / ("long_" * 40)
    folder.mkdir()
    assert "report.html" not in printed(summary, folder)
    (folder / "report.html").touch()
    assert str(folder / "report.html") in printed(summary, folder)


def test_notes_are_shown_as_written_and_counted(summary: dict[str, Any], tmp_path: Path) -> None:
    notes = [f"file[red]{number}.png[/red] was skipped" for number in range(8)]
    said = printed({**summary, "notes": notes}, tmp_path)
    assert notes[0] in said
    assert notes[7] not in said
    assert "and 3 more notes in summary.json" in said


def test_without_ground_truth_there_is_no_table(summary: dict[str, Any], tmp_path: Path) -> None:
    said = printed({**summary, "metrics": {}}, tmp_path)
    assert "DSC" not in said
    assert "confidence" not in said
    assert "not a medical device" in said


def test_an_old_terminal_can_print_it(summary: dict[str, Any], tmp_path: Path) -> None:
    said = printed({**summary, "notes": ["naïve.png was skipped"]}, tmp_path, encoding="ascii")
    assert "0.613 +- 0.111" in said
    assert r"na\xefve.png" in said


def test_what_true_masks_decided_is_printed_and_who_only_scores_is_not(
    summary: dict[str, Any], tmp_path: Path
) -> None:
    uses = [
        "train_sam: training on true masks (mine, train)",
        "data: masks decide",
        "text: oracle",
        "evaluate: scores",
    ]
    said = printed({**summary, "ground_truth_used_for": uses}, tmp_path)
    assert [use in said for use in uses] == [True, True, True, False]
