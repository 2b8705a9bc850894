"""The command that times this machine: what it prints and writes; the figures themselves are nobody's promise."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.sim_nodes import Job, seconds
from medsam_exp.cli.benchmark import m2ib, sam_encoder
from medsam_exp.cli.benchmark.rows import Row
from medsam_exp.cli.main import main

ROW = Row("a thing", "s", reference=6.0, ours=2.0, limit=1.0, note="equal")


def test_table_and_machine_are_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(m2ib, "rows", lambda device: [ROW._replace(what=f"on {device}")])
    monkeypatch.setattr(sam_encoder, "rows", lambda _: [ROW])
    assert main(["benchmark", "--device", "cpu", "--json", str(tmp_path / "speed.json")]) == 0
    printed = capsys.readouterr().out
    assert "on cpu" in printed
    assert "3.0 x" in printed
    assert "TFLOP/s" in printed
    written = json.loads((tmp_path / "speed.json").read_text())
    assert [row["ratio"] for row in written["rows"]] == [3.0, 3.0]
    assert written["machine"]["rates"]["cpu"]["float32"] > 0


def test_unknown_device_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "--device", "tpu"]) == 1
    assert capsys.readouterr().err.startswith("error: --device tpu is not here; take cpu")


def test_simulated_machines_share_the_work_and_not_the_rest() -> None:
    shared = Job((1.0, 0.5), start=0.0, every_process=0.0, one_process=0.0)
    alone = Job((), start=0.0, every_process=0.25, one_process=0.75)
    times = {
        nodes: [seconds(job, 8_000, nodes, np.random.default_rng(0)) for job in (shared, alone)]
        for nodes in (1, 4)
    }
    assert times[1] == pytest.approx([12_000, 8_000], rel=0.02)
    assert times[4] == pytest.approx([12_000 / 4 * 1.1, 8_000], rel=0.03)  # the slowest machine decides
