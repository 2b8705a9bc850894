import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from medsam_exp.metrics.paired import compare_pairs
from medsam_exp.report.compare import compare_runs, print_comparison
from medsam_exp.types import UserError
from tests.command import command, refusal

main = command("compare")

SCORES_A = {f"s{n}": 0.5 + 0.01 * n for n in range(8)}
SCORES_B = {f"s{n}": 0.55 + 0.02 * n * (-1) ** n for n in range(8)}


def finished(
    folder: Path,
    scores: dict[str, Any],
    *,
    choices: dict[str, str] | None = None,
    data: str | None = None,
    tolerance: str = "2 px",
) -> Path:
    """A run's folder, as far as it is read here; its coarse masks score 0.25 everywhere."""
    folder.mkdir()
    chosen = {"data": "phantom", "prompt": "box", **(choices or {})}
    (folder / "summary.json").write_text(json.dumps({"choices": chosen, "nsd_tolerance": tolerance}))
    with (folder / "per_image.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "text", "stage", "dsc", "nsd", "presence", "peak_distance_px"])
        writer.writeheader()
        for stage in ("saliency", "coarse", "sam"):
            for name, score in scores.items():
                own = {"saliency": {"peak_distance_px": 3}, "coarse": {"dsc": 0.25}, "sam": {"dsc": score}}[
                    stage
                ]
                nsd = {"nsd": 0.5} if stage == "sam" else {}
                writer.writerow({"id": name, "text": "a mass", "stage": stage, "presence": 1.0, **own, **nsd})
    if data is not None:
        (folder / ".hydra").mkdir()
        (folder / ".hydra" / "config.yaml").write_text(f"data: {data}\npaths: {{data: /here}}\n")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    other = dict(reversed(SCORES_B.items()))  # order must not matter
    return (
        finished(tmp_path / "a", SCORES_A),
        finished(tmp_path / "b", other, choices={"prompt": "points", "sam": "vit_b"}),
    )


def test_supervision_of_both_is_said_where_a_run_knows_it(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare_runs(*runs, "dsc")["supervision"] == ["", ""]
    print_comparison(compare_runs(*runs, "dsc"), Console())
    assert "supervision:" not in capsys.readouterr().out
    path = runs[1] / "summary.json"
    known = {"sam": {"mark": "supervised", "because": [], "besides": []}}
    path.write_text(json.dumps({**json.loads(path.read_text()), "supervision": known}))
    print_comparison(compare_runs(*runs, "dsc"), Console())
    assert "supervision: unknown in A, supervised in B" in capsys.readouterr().out


def test_images_are_paired_by_id(runs: tuple[Path, Path]) -> None:
    result = compare_runs(*runs, "dsc")
    expected = compare_pairs(list(SCORES_A.values()), list(SCORES_B.values()))
    assert result["stage"] == "sam"
    assert {name: result[name] for name in vars(expected)} == vars(expected)
    assert result["choices"] == {"prompt": ["box", "points"], "sam": [None, "vit_b"]}
    assert result["only_in_a"] == result["only_in_b"] == result["without_score"] == []
    assert compare_runs(*runs, "dsc", "coarse")["difference"] == 0.0
    assert compare_runs(*runs, "peak_distance_px")["stage"] == "saliency"


def test_images_in_one_run_only_and_without_a_score_are_named(tmp_path: Path) -> None:
    a = finished(tmp_path / "a", {**SCORES_A, "x1": 0.1, "s3": "nan"})
    b = finished(tmp_path / "b", {**SCORES_B, "y1": 0.1, "y2": 0.1, "s5": ""})
    result = compare_runs(a, b, "dsc")
    assert (result["only_in_a"], result["only_in_b"]) == (["x1"], ["y1", "y2"])
    assert result["without_score"] == ["s3", "s5"]
    kept = [n for n in range(8) if n not in (3, 5)]
    expected = compare_pairs([SCORES_A[f"s{n}"] for n in kept], [SCORES_B[f"s{n}"] for n in kept])
    assert result["wilcoxon_p"] == expected.wilcoxon_p
    assert result["n"] == 6


def test_the_command_prints_a_table_and_writes_json(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "found.json"
    main([str(runs[0]), str(runs[1]), "--json", str(target)])
    said = capsys.readouterr().out
    result = json.loads(target.read_text())
    assert result == compare_runs(*runs, "dsc")
    for words in (
        "sam/dsc",
        f"{result['wilcoxon_p']:.4f}",
        f"{result['cohen_dz']:.3f}",
        f"[{result['ci95'][0]:.4f}, {result['ci95'][1]:.4f}]",
        "prompt: box in A, points in B",
        "sam: - in A, vit_b in B",
    ):
        assert words in said


def test_degenerate_runs_are_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = finished(tmp_path / "a", SCORES_A), finished(tmp_path / "b", SCORES_A)
    main([str(a), str(b)])
    said = capsys.readouterr().out
    assert "A and B score every image the same" in said
    assert "A and B made the same choices" in said
    c = finished(tmp_path / "c", {"s0": 0.9, "s1": 0.2, "z": 0.5})
    main([str(a), str(c)])
    said = capsys.readouterr().out
    assert "only 2 of 2 images differ, too few" in said
    assert "left out, only in A: 6 (s2, s3, s4, s5, s6 and 1 more)" in said
    assert "left out, only in B: 1 (z)" in said


@pytest.mark.parametrize(
    ("data_a", "data_b", "choice", "same"),
    [
        ("{seed: 2, count: 8}", "{seed: 2, count: 9}", "phantom", True),
        ("{seed: 2, count: 8}", "{seed: 3, count: 8}", "phantom", False),
        ("{root: /a, split: test}", "{root: /b, split: test}", "folder", False),
        ("{root: /a, split: test}", "{root: /b, split: test}", "busi", True),
        ("{root: /a, split: test}", "{root: /a, split: val}", "busi", False),
        ("{root: /a, remembered_in: /x}", "{root: /a, remembered_in: /y}", "folder", True),
        ("{root: '${paths.data}/x'}", "{root: /here/x}", "folder", True),
    ],
)
def test_other_settings_of_the_data_are_another_dataset(
    tmp_path: Path, data_a: str, data_b: str, choice: str, same: bool
) -> None:
    a = finished(tmp_path / "a", SCORES_A, data=data_a, choices={"data": choice})
    b = finished(tmp_path / "b", SCORES_B, data=data_b, choices={"data": choice})
    if same:
        assert compare_runs(a, b, "dsc")["n"] == 8
    else:
        with pytest.raises(UserError, match=r"different datasets, data\."):
            compare_runs(a, b, "dsc")


def test_the_classes_of_an_image_are_no_pairs_of_their_own(runs: tuple[Path, Path]) -> None:
    for folder in runs:
        rows = list(csv.DictReader((folder / "per_image.csv").read_text().splitlines()))
        with (folder / "per_image.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0], "image_id"])
            writer.writeheader()
            writer.writerows({**row, "image_id": f"image {int(row['id'][1:]) // 2}"} for row in rows)
    a, b = ([(own[f"s{2 * n}"] + own[f"s{2 * n + 1}"]) / 2 for n in range(4)] for own in (SCORES_A, SCORES_B))
    expected = compare_pairs(a, b)
    result = compare_runs(*runs, "dsc")
    assert (result["n"], result["better"]) == (4, expected.better)
    assert result["wilcoxon_p"] == pytest.approx(expected.wilcoxon_p)


def test_bad_input_is_one_sentence(
    tmp_path: Path, runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = runs

    def refused(first: Path, second: Path, *more: str) -> str:
        return refusal(capsys, ["compare", str(first), str(second), *more])

    assert "has no summary.json" in refused(a, tmp_path / "nowhere")
    assert "has no measure 'dcs'; it has dsc (DSC), nsd (NSD), peak_distance_px" in refused(
        a, b, "--measure", "dcs"
    )
    assert "no dsc of stage 'saliency'; stages with it: coarse, sam" in refused(a, b, "--stage", "saliency")
    other = finished(tmp_path / "c", {"t1": 0.5, "t2": 0.1})
    assert "no image id in common" in refused(a, other)
    busi = finished(tmp_path / "d", SCORES_A, choices={"data": "busi"})
    assert "different datasets, data=phantom and data=busi" in refused(a, busi)
    wider = finished(tmp_path / "e", SCORES_A, tolerance="3 px")
    assert "tolerance of 2 px in one run and 3 px" in refused(a, wider, "--measure", "nsd")
    assert compare_runs(a, wider, "dsc")["n"] == 8
    nothing = finished(tmp_path / "f", dict.fromkeys(SCORES_A, ""))
    assert "no dsc of stage 'sam'" in refused(a, nothing, "--stage", "sam")
    (b / "summary.json").write_text("{")
    assert "cannot be read" in refused(a, b)
    (b / "summary.json").write_text("[]")
    assert "does not name the choices" in refused(a, b)


def test_it_runs_as_a_module_and_fails_with_a_code(tmp_path: Path, runs: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "medsam_exp", "compare", str(runs[0]), str(tmp_path)]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.startswith("error: ")
    assert failed.stderr.count("\n") == 1


def test_images_of_known_patients_are_compared_by_patient(runs: tuple[Path, Path]) -> None:
    """Run B is one of old, which knows no patients, and believes A."""
    table = runs[0] / "per_image.csv"
    with table.open() as file:
        rows = [{**row, "patient": f"p{int(row['id'][1:]) // 2}"} for row in csv.DictReader(file)]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    result = compare_runs(*runs, "dsc")
    names = [f"p{number // 2}" for number in range(8)]
    expected = compare_pairs(list(SCORES_A.values()), list(SCORES_B.values()), clusters=names)
    assert {name: result[name] for name in vars(expected)} == vars(expected)
    assert (result["n"], result["patients"], result["ci95"]) == (8, 4, None)
    console = Console(record=True, width=120)
    print_comparison(result, console)
    said = console.export_text()
    assert "Wilcoxon signed-rank by patient, p" in said
    assert "4 patients are too few for a 95 % interval" in said


def test_names_of_slices_are_warned_of(tmp_path: Path) -> None:
    slices = {f"vol{volume}_{number}": 0.1 * number for volume in range(2) for number in range(4)}
    result = compare_runs(finished(tmp_path / "a", slices), finished(tmp_path / "b", slices), "dsc")
    assert "look like slices of volumes" in result["notes"][0]
    assert result["patients"] is None
