import io
import itertools
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from medsam_exp.sweep.collect import collect, print_sheet
from medsam_exp.sweep.pivot import Layout, pivot
from medsam_exp.sweep.read import read_sweep
from medsam_exp.sweep.scores import known_measure
from medsam_exp.sweep.sheets import Sheet, TableCell, html, latex, markdown, pivot_sheet
from medsam_exp.sweep.tidy import images_table, jobs_table
from medsam_exp.types import UserError
from tests.command import command, refusal

from .conftest import IMAGES, make_run, make_sweep, score

main = command("collect")

HOSTILE = r"a_b & c% $x$ #1 {y} ~z^2 \w <b> |v| [1] * `q`"
SHEET = Sheet(
    HOSTILE,
    (HOSTILE, "n"),
    1,
    ((TableCell(HOSTILE), TableCell("1.5", best=True, value=1.5)), (TableCell("[x"), TableCell("–"))),
    (HOSTILE,),
)


def latex_problems(text: str) -> list[str]:
    """What a TeX would stumble over: braces, environments, columns, special signs that are not escaped."""
    problems, open_environments = [], []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            open_environments.append(name)
        elif not open_environments or open_environments.pop() != name:
            problems.append(f"end of {name}")
    plain = re.sub(r"^%.*$", "", text, flags=re.M)
    plain = re.sub(r"\\[\\&%$#_{}]", "", plain)
    depths = list(itertools.accumulate({"{": 1, "}": -1}.get(sign, 0) for sign in plain))
    if open_environments or depths[-1] or min(depths) < 0:
        problems.append("unbalanced")
    problems += re.findall(r"[^\x00-\x7f]", plain)  # a sign that a plain TeX may not know
    plain = re.sub(r"\$\\[a-z]+\$", "", plain)
    problems += re.findall(r"[#$%_^~|<>]", plain)
    columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1])  # type: ignore[index]
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    problems += [row for row in rows if len(re.findall(r"(?<!\\)&", row)) != columns - 1]
    return problems + [row for row in rows if row.lstrip().startswith("[")]


def test_latex_survives_every_sign(sweep_folder: Path) -> None:
    assert latex_problems(latex(SHEET)) == []
    assert r"\textbf{1.5}" in latex(SHEET)
    assert (
        latex_problems(latex(pivot_sheet(pivot(read_sweep([sweep_folder]), "sam", known_measure("dsc")))))
        == []
    )
    assert latex_problems(latex(SHEET).replace(r"\&", "&"))  # the check can fail
    assert latex_problems(latex(SHEET).replace(r"\_", "_"))


def test_every_table_of_a_sweep_is_latex(sweep_folder: Path, tmp_path: Path) -> None:
    layouts = {"rows": Layout(), "columns": Layout(rows=["saliency"], columns=["postprocess"])}
    for name, layout in layouts.items():
        collect([sweep_folder], tmp_path / name, layout=layout)
        written = sorted((tmp_path / name).rglob("*.tex"))
        assert len(written) >= 4
        assert {path.name: latex_problems(path.read_text()) for path in written} == {
            path.name: [] for path in written
        }
    overview = (tmp_path / "rows" / "pivots" / "sam.tex").read_text()
    assert r"a\_b\&c\%" in overview
    assert latex_problems(overview.replace(r"\end{tabular}", ""))
    assert latex_problems(overview.replace(r"$\uparrow$", "↑"))
    assert latex_problems(overview.replace(r"\caption{", r"\caption}"))


def test_markdown_keeps_its_columns() -> None:
    rows = [line for line in markdown(SHEET).splitlines() if line.startswith("|")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3, 3, 3, 3]
    assert "**1.5**" in rows[2]


def test_html_shows_every_sign_as_it_is() -> None:
    texts: list[str] = []
    parser = HTMLParser()
    parser.handle_data = texts.append  # type: ignore[method-assign]
    parser.feed(html(SHEET))
    assert HOSTILE in texts
    assert "<b>" not in html(SHEET)


def test_the_tidy_table_has_every_score_once(sweep_folder: Path) -> None:
    table = images_table(read_sweep([sweep_folder]))
    assert len(table) == 18 * len(IMAGES) * 3
    assert not table.duplicated(["job", "id", "stage"]).any()
    row = table[(table.job == 4) & (table.id == "scan_2") & (table.stage == "sam")].iloc[0]
    assert (row.saliency, row.postprocess, row.seed) == ("m2ib", "otsu", "1")
    assert row.dsc == score("1", "scan_2", saliency="m2ib", postprocess="otsu")
    assert pd.isna(table[table.stage == "saliency"].dsc).all()


def test_an_axis_called_like_a_score_keeps_both(tmp_path: Path) -> None:
    table = images_table(read_sweep([make_sweep(tmp_path / "s", {"presence": ["a", "b"]})]))
    assert set(table.presence_choice) == {"a", "b"}
    assert set(table.presence) == {1.0}


def test_the_table_of_jobs_is_that_of_their_summaries_and_names_failures(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"saliency": ["m2ib", "x"]}, failed={1: "out of memory"})
    table = jobs_table(read_sweep([folder]))
    figure = json.loads((folder / "0" / "summary.json").read_text())["metrics"]["sam/dsc"]
    row = table[table.stage == "sam"].iloc[0]
    low, high = figure["ci95"]
    assert (row.dsc_mean, row.dsc_std, row.dsc_ci95_low, row.dsc_ci95_high, row.dsc_n) == (
        figure["mean"], figure["std"], low, high, 8
    )  # fmt: skip
    assert table.iloc[-1][["job", "status", "error", "stage"]].tolist() == [
        1,
        "unfinished",
        "out of memory",
        "",
    ]


def test_figures_without_an_interval_leave_its_cells_empty(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"saliency": ["m2ib", "x"]})
    path = folder / "0" / "summary.json"
    summary = json.loads(path.read_text())
    summary["metrics"]["sam/dsc"] |= {"ci95": None, "patients": 3}
    path.write_text(json.dumps(summary))
    new, old = (row for _, row in jobs_table(read_sweep([folder])).query("stage == 'sam'").iterrows())
    assert (new.dsc_n, new.dsc_patients) == (8, 3)
    assert np.isnan([new.dsc_ci95_low, new.dsc_ci95_high, old.dsc_patients]).all()


def test_collecting_again_changes_no_byte(sweep_folder: Path, tmp_path: Path) -> None:
    first = collect([sweep_folder], tmp_path / "a")
    content = {file.name: file.read_bytes() for file in first.files}
    collect([sweep_folder], tmp_path / "a")
    assert {file.name: file.read_bytes() for file in (tmp_path / "a").rglob("*") if file.is_file()} == content
    assert {
        "table.csv",
        "jobs.csv",
        "sam_dsc.md",
        "sam_dsc.tex",
        "sam.html",
    } <= content.keys()
    assert first.main == "sam_dsc"


def test_no_table_of_an_earlier_collection_stays(sweep_folder: Path, tmp_path: Path) -> None:
    before = collect([sweep_folder], tmp_path)
    (tmp_path / "pivots" / "notes.txt").write_text("a reader's own")
    after = collect([sweep_folder], tmp_path, stage="sam", measure="dsc")
    assert len(after.files) < len(before.files)
    kept = {path for path in after.files if path.parent.name == "pivots"}
    assert set((tmp_path / "pivots").iterdir()) == kept | {tmp_path / "pivots" / "notes.txt"}


def test_parquet_holds_what_the_csv_holds(sweep_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    collect([sweep_folder], tmp_path)
    stored = pd.read_parquet(tmp_path / "table.parquet")
    written = pd.read_csv(io.BytesIO((tmp_path / "table.csv").read_bytes()), dtype={"seed": str})
    pd.testing.assert_frame_equal(stored, written, check_dtype=False)


def test_without_pyarrow_the_csv_and_a_sentence(
    sweep_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    made = collect([sweep_folder], tmp_path)
    assert "package pyarrow, which is not installed" in made.remarks[0]
    assert not list(tmp_path.glob("*.parquet"))


def test_the_command_prints_the_table_and_failures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_sweep(tmp_path / "s", {"saliency": ["m2ib", "[x]", "y"]}, failed={2: "killed"})
    main([str(folder), "--stage", "sam", "--measure", "dsc", "--against", "saliency=[x]"])
    said = capsys.readouterr().out
    assert "[x]" in said
    assert "reference" in said
    assert "without results: 1 of 3 jobs (2: killed)" in said
    assert (folder / "pivots" / "sam_dsc.md").is_file()
    assert not (folder / "pivots" / "coarse_dsc.md").exists()


def test_columns_are_by_another_axis(sweep_folder: Path, tmp_path: Path) -> None:
    made = collect(
        [sweep_folder], tmp_path, stage="sam", measure="dsc", layout=Layout(columns=["postprocess"])
    )
    sheet = made.sheets["sam_dsc"]
    assert sheet.header == ("saliency", "kmeans", "otsu")
    assert [len(line) for line in sheet.lines] == [3, 3, 3]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stage", "weak"], "no run has scores of weak/any measure"),
        (["--rows", "colour"], "'colour' is no axis"),
        (["--against", "m2ib"], "not of the form axis=value"),
    ],
)
def test_bad_options_are_one_sentence(
    sweep_folder: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in refusal(capsys, ["collect", str(sweep_folder), *options])


def test_an_option_takes_several_axes(sweep_folder: Path, tmp_path: Path) -> None:
    """With blanks, commas, or the option given again."""
    tables = []
    for number, rows in enumerate(
        (["saliency", "postprocess"], ["saliency,postprocess"], ["saliency", "--rows", "postprocess"])
    ):
        out = tmp_path / str(number)
        assert main([str(sweep_folder), "--output", str(out), "--rows", *rows, "--stage", "sam"]) == 0
        tables.append((out / "pivots" / "sam_dsc.md").read_text())
    assert tables[0] == tables[1] == tables[2]


def test_a_measure_that_cannot_be_compared_loses_only_its_own_table(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"saliency": ["m2ib", "x"]})
    path = folder / "1" / "per_image.csv"
    header, *rows = [line.split(",") for line in path.read_text().splitlines()]
    for row in rows:
        row[header.index("hd95_px")] = "inf" if row[header.index("id")] != "scan_new" else "1"
    rows.append([{"id": "scan_new", "stage": "sam", "hd95_px": "3"}.get(name, "") for name in header])
    path.write_text("\n".join(map(",".join, [header, *rows])) + "\n")
    made = collect([folder], tmp_path / "out")
    said = "no table of sam/hd95_px: no image has this score in every run, so the runs cannot be compared"
    assert made.remarks[0] == said
    assert {"sam_dsc", "coarse_dsc"} <= made.pivots.keys()
    assert "sam_hd95_px" not in made.pivots
    assert (tmp_path / "out" / "report.html").is_file()
    with pytest.raises(UserError, match="no image has this score in every run"):
        collect([folder], tmp_path / "out", stage="sam", measure="hd95_px")


def test_runs_without_images_have_a_table_of_jobs(tmp_path: Path) -> None:
    make_run(tmp_path / "s" / "0", {"loss": "dcl"})
    (tmp_path / "s" / "0" / "per_image.csv").unlink()
    made = collect([tmp_path / "s"], tmp_path)
    assert "no pivot tables" in made.remarks[-1]
    assert made.main is None


def test_on_a_narrow_console_intervals_stand_below_their_figures() -> None:
    cells = ("patch_text", "0.950 ± 0.032", "[0.926, 0.971]", "6", "-0.005", "[-0.011, +0.000]")
    header = ("saliency", "DSC ↑", "95 % CI", "images", "difference", "95 % CI of it")
    sheet = Sheet("SAM mask, DSC", header, 1, (tuple(map(TableCell, cells)),), ())

    def printed(width: int) -> list[str]:
        file = io.StringIO()
        print_sheet(sheet, Console(file=file, width=width))
        return [line.rstrip() for line in file.getvalue().splitlines()]

    wide, narrow = printed(100), printed(60)
    assert any(all(cell in line for cell in cells) for line in wide)
    assert max(map(len, narrow)) <= 60
    for cell in (*cells, *header):
        assert any(cell in line for line in narrow)  # no figure is broken
    above = next(line for line in narrow if cells[1] in line)
    below = narrow[narrow.index(above) + 1]
    assert cells[2] in below
    assert cells[5] in below


def mark_runs(folder: Path, **marks: str) -> None:
    """Say in the summaries of a sweep's runs how their SAM masks are supervised, by saliency method."""
    for path in folder.glob("*/summary.json"):
        content = json.loads(path.read_text())
        if mark := marks.get(content["choices"]["saliency"]):
            content["supervision"] = {"sam": {"mark": mark, "because": [], "besides": []}}
            path.write_text(json.dumps(content))


def test_rows_say_how_they_are_supervised(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", {"saliency": ["m2ib", "gradcam", "rise"]})
    mark_runs(folder, m2ib="supervised", gradcam="zero-shot")
    sweep = read_sweep([folder])
    sheet = pivot_sheet(pivot(sweep, "sam", known_measure("dsc")))
    assert (sheet.header[:2], sheet.labels) == (("saliency", "supervision"), 2)
    assert [[item.text for item in line[:2]] for line in sheet.lines] == [
        ["m2ib", "supervised"], ["gradcam", "zero-shot"], ["rise", "unknown"],
    ]  # fmt: skip
    table = jobs_table(sweep)
    found = dict(zip(table["saliency"], table["supervision"].where(table["stage"] == "sam"), strict=True))
    assert {"supervised", "zero-shot", ""} >= set(table["supervision"])
    assert found["m2ib"] == "supervised"
    by_column = pivot_sheet(pivot(sweep, "sam", known_measure("dsc"), Layout(columns=["saliency"])))
    assert "supervision" not in by_column.header


def test_rows_that_are_supervised_alike_share_a_note(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "sweep", {"saliency": ["m2ib", "gradcam"]})
    mark_runs(folder, m2ib="zero-shot", gradcam="zero-shot")
    sheet = pivot_sheet(pivot(read_sweep([folder]), "sam", known_measure("dsc")))
    assert sheet.header[:2] == ("saliency", "DSC ↑")
    assert "Supervision of every row: zero-shot" in sheet.notes
    assert "Supervision of every row: zero-shot" in markdown(sheet)


def test_runs_of_old_say_nothing_of_supervision(sweep_folder: Path) -> None:
    sheet = pivot_sheet(pivot(read_sweep([sweep_folder]), "sam", known_measure("dsc")))
    assert "supervision" not in sheet.header
    assert not any("upervision" in note for note in sheet.notes)
