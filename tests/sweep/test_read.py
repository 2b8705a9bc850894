import json
import shutil
from pathlib import Path

import pytest

from medsam_exp.sweep.read import read_sweep
from medsam_exp.types import UserError

from .conftest import AXES, make_run, make_sweep


def test_a_sweep_by_its_file(sweep_folder: Path) -> None:
    sweep = read_sweep([sweep_folder])
    assert (sweep.name, len(sweep.jobs), len(sweep.finished)) == ("maps", 18, 18)
    assert sweep.axes == {axis: tuple(values) for axis, values in AXES.items()}
    assert sweep.jobs[4].values == {"saliency": "m2ib", "postprocess": "otsu", "seed": "1"}
    assert sweep.jobs[4].command == "run.py 4"


def test_hydras_own_layout_gives_the_same(sweep_folder: Path) -> None:
    by_file = read_sweep([sweep_folder])
    (sweep_folder / "sweep.json").unlink()
    by_folders = read_sweep([sweep_folder])
    assert by_folders.axes == by_file.axes
    assert [job.values for job in by_folders.jobs] == [job.values for job in by_file.jobs]
    assert [job.number for job in by_folders.jobs] == list(range(18))  # 10 after 9, not after 1


def test_texts_are_read_without_hydras_escapes(tmp_path: Path) -> None:
    folder = make_sweep(tmp_path / "s", {"text.text": [r"a\ dark\ mass", "'a dark, round mass'", "plain"]})
    plain = ("a dark mass", "a dark, round mass", "plain")
    for _ in range(2):
        sweep = read_sweep([folder])
        assert sweep.axes == {"text.text": plain}
        assert tuple(job.values["text.text"] for job in sweep.jobs) == plain
        (folder / "sweep.json").unlink(missing_ok=True)


def test_failed_missing_and_broken_jobs_stay_with_their_error(tmp_path: Path) -> None:
    folder = make_sweep(
        tmp_path / "s", {"saliency": ["a", "b", "c", "d"]}, failed={1: "Traceback\nValueError: bad"}
    )
    (folder / "2" / "summary.json").unlink()
    (folder / "2" / "run.log").write_text("starting\nout of memory\n\n")
    (folder / "3" / "summary.json").write_text("{")
    sweep = read_sweep([folder])
    assert [job.number for job in sweep.finished] == [0]
    assert [job.error for job in sweep.unfinished][:2] == ["ValueError: bad", "out of memory"]
    assert "cannot be read" in (sweep.jobs[3].error or "")


def say(folder: Path, status: str, error: str | None = None) -> None:
    """What a job writes down at its end."""
    folder.mkdir(exist_ok=True)
    content = {"status": status, "configuration": "c", "error": error}
    (folder / "job_status.json").write_text(json.dumps(content))


@pytest.mark.parametrize("by_file", [True, False])
def test_the_jobs_are_believed_not_what_was_written_when_the_sweep_began(
    tmp_path: Path, by_file: bool
) -> None:
    folder = make_sweep(tmp_path / "s", {"saliency": ["a", "b", "c", "d", "e"]})
    content = json.loads((folder / "sweep.json").read_text())
    for job, before in zip(content["jobs"], ["missing", "done", "done", "missing", "done"], strict=True):
        job["status"] = before
    (folder / "sweep.json").write_text(json.dumps(content))
    say(folder / "0", "done")
    say(folder / "1", "failed", "Traceback\nout of memory")  # its summary is of an earlier run
    (folder / "2" / "job.lock").touch()  # is at work again, or was killed at it
    shutil.rmtree(folder / "3")
    if not by_file:
        (folder / "sweep.json").unlink()
    errors = {job.folder.name: job.error for job in read_sweep([folder]).jobs}
    of_3 = {"3": "did not run"} if by_file else {}
    assert errors == {"0": None, "1": "out of memory", "2": "has not come to an end", "4": None} | of_3


def test_a_jobs_broken_status_is_one_sentence(sweep_folder: Path) -> None:
    (sweep_folder / "2" / "job_status.json").write_text("{")
    with pytest.raises(UserError, match=r"2.job_status\.json cannot be read"):
        read_sweep([sweep_folder])


def test_a_failed_job_without_a_sweep_file_is_found_by_its_configuration(sweep_folder: Path) -> None:
    (sweep_folder / "sweep.json").unlink()
    (sweep_folder / "5" / "summary.json").unlink()
    lost = read_sweep([sweep_folder]).unfinished
    assert [(job.number, job.error, job.values["seed"]) for job in lost] == [(5, "did not finish", "2")]


def test_a_list_of_runs_is_told_apart_by_what_differs(tmp_path: Path) -> None:
    make_run(tmp_path / "x", {"saliency": "m2ib", "prompt": "box", "trainer": "cpu"})
    make_run(tmp_path / "y", {"prompt": "box", "saliency.beta": "2"})
    config = tmp_path / "y" / ".hydra" / "config.yaml"
    config.write_text(config.read_text() + "saliency: {beta: 2}\n")
    summary = json.loads((tmp_path / "y" / "summary.json").read_text())
    summary["choices"]["saliency"] = "m2ib"  # by default, not typed
    (tmp_path / "y" / "summary.json").write_text(json.dumps(summary))
    (tmp_path / "x" / ".hydra" / "config.yaml").write_text("saliency: {beta: 0.5}\n")
    sweep = read_sweep([tmp_path / "x", tmp_path / "y"])
    assert sweep.axes == {"saliency.beta": ("0.5", "2")}


def test_a_trainers_precision_is_an_axis_its_devices_are_not(tmp_path: Path) -> None:
    for number, precision in enumerate(["32-true", "bf16-mixed"]):
        own = {
            "trainer": "gpu",
            "trainer.devices": str(number),
            "trainer.precision": precision,
            "logger": str(number),
        }
        make_run(tmp_path / str(number), own)
    assert read_sweep([tmp_path]).axes == {"trainer.precision": ("32-true", "bf16-mixed")}


def test_runs_of_one_configuration_are_not_taken_for_seeds(tmp_path: Path) -> None:
    make_run(tmp_path / "x", {"saliency": "m2ib"})
    shutil.copytree(tmp_path / "x", tmp_path / "y")
    assert read_sweep([tmp_path]).axes == {"run": ("x", "y")}
    assert read_sweep([tmp_path / "x"]).axes == {"run": ("x",)}


def test_bad_folders_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        read_sweep([tmp_path / "nothing"])
    with pytest.raises(UserError, match="no runs in it"):
        read_sweep([tmp_path])
    make_run(tmp_path / "monday" / "0", {})
    make_run(tmp_path / "tuesday" / "0", {})
    with pytest.raises(UserError, match=r"holds 2 sweeps \(monday, tuesday\)"):
        read_sweep([tmp_path])
    (tmp_path / "sweep.json").write_text('{"axes": 3}')
    with pytest.raises(UserError, match=r"sweep\.json is not what"):
        read_sweep([tmp_path])
