"""A slice of `make chaos`: a run is killed, its disk is full, a file is damaged; it ends as an undisturbed one."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_disturbed_run_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    kinds = ["kill -9", "SIGTERM", "disk full", "damaged file"]
    arguments = ["--rounds", "4", "--seed", "3", "--scenarios", "run", "--keep", str(tmp_path / "chaos")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.run", *arguments, "--kinds", *kinds],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].split()[2:] == ["4", "4"]
