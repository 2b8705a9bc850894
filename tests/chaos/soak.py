"""Hours of training, inference and web app at once: `python -m tests.chaos.soak --minutes 120 --keep FOLDER`.

Each runs in a process of its own: a training of epochs without end, a loop that asks one `Pipeline` for masks of new
images, and the app with a browser that uploads, asks and leaves. About every minute their memory, handles, threads,
temporary files and bytes of their logs are written to `samples.csv`. After the first sixth, which warms up, nothing of
it may grow; when all have been asked to end, no temporary file may be left.
"""

import argparse
import csv
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from tests.chaos.processes import with_children

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_EVERY_S = 30.0
_REQUEST_EVERY_S = 10.0
_REQUESTS_A_TAB = 5
_ANSWER_S = 600
_WARM = 1 / 6
_MAX_MEMORY_GROWTH = 0.10
"""Of what a process takes after the warm-up; medians of the first and last quarter of what follows are compared."""
_MAX_HANDLES_GROWTH = 8
_MAX_LOG_BYTES_AN_HOUR = 5e6
_TRAINING = (
    *("+experiment=phantom_finetune", "stages=[finetune_clip]", "fit.epochs=1000000", "fit.validate_every=5"),
    *("pairs.train.count=256", "pairs.validation.count=64", "workers=0"),
)
_COUNTED = ("memory_mib", "handles", "threads")


@dataclass(frozen=True)
class Watched:
    """A process that runs for hours.

    Attributes:
        name: what it does.
        process: it.
        log: what it prints.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def sample(self) -> dict[str, float]:
        """What it and its children hold now."""
        pids = with_children(self.process.pid)
        return {
            "memory_mib": sum(_status(pid, "VmRSS") for pid in pids) / 1024,
            "handles": sum(len(_listed(Path(f"/proc/{pid}/fd"))) for pid in pids),
            "threads": sum(_status(pid, "Threads") for pid in pids),
        }


def _status(pid: int, key: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0.0)


def _listed(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:
        return []


def _temporary(folder: Path) -> list[str]:
    """Names of temporary files; torch's cache of compiled code has one name for all processes, and stays."""
    return [name for name in _listed(folder / "temporary") if not name.startswith("torchinductor_")]


def _bytes_of_logs(folder: Path) -> int:
    return sum(
        path.stat().st_size
        for path in (*folder.glob("*.log"), folder / "training" / "run.log")
        if path.exists()
    )


def infer(folder: Path) -> None:
    """Ask one pipeline for a mask of a new drawn scan, again and again."""
    from medsam_exp import Pipeline
    from medsam_exp.data.phantom.draw import draw_phantom

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), Pipeline() as pipeline:
        for number in itertools.count():
            path = folder / "scan.png"
            Image.fromarray(draw_phantom(3, number).image).save(path)
            pipeline(path, f"a lesion in scan {number % 50}")
            time.sleep(1)


def ask(browser: "Browser", address: str, scan: Path, number: int) -> None:
    """A tab that uploads a new image, asks a few times, and closes."""
    from medsam_exp.data.phantom.draw import draw_phantom

    Image.fromarray(draw_phantom(4, number).image).save(scan)
    page = browser.new_page()
    try:
        page.set_default_timeout(1000 * _ANSWER_S)
        page.goto(address)
        page.set_input_files("#mx-file input[type=file]", str(scan))
        page.wait_for_selector("#mx-first .mx-viewer:not(.mx-bare)")
        for again in range(_REQUESTS_A_TAB):
            page.fill("#mx-text textarea", f"lesion number {number} {again}")
            before = page.get_attribute("#mx-first .mx-viewer", "data-serial")
            page.click("#mx-segment")
            page.wait_for_function(
                "before => { const seen = document.querySelector('#mx-first .mx-viewer:not(.mx-unanswered)');"
                " return seen && seen.dataset.serial !== before }",
                arg=before,
            )
            time.sleep(_REQUEST_EVERY_S)
    finally:
        page.close()


def _start(folder: Path) -> tuple[list[Watched], str]:
    """Begin all three, with a folder of temporary files of their own, and the app's address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = (f"paths.outputs={folder / 'outputs'}", f"hydra.run.dir={folder / 'training'}")
    commands: dict[str, Sequence[str]] = {
        "training": ("run.py", *_TRAINING, *places),
        "inference": ("-m", "tests.chaos.soak", "--infer", str(folder)),
        "app": ("-m", "medsam_exp", "app", "--port", str(port)),
    }
    environment = os.environ | {"TMPDIR": str(folder / "temporary"), "OMP_NUM_THREADS": "1"}
    (folder / "temporary").mkdir(parents=True)
    watched = []
    for name, words in commands.items():
        log = folder / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, *words], stdout=file, stderr=subprocess.STDOUT, env=environment
            )
        watched.append(Watched(name, process, log))
    return watched, f"http://127.0.0.1:{port}"


def _wait_for(address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    for _ in range(600):
        with socket.socket() as asked:
            if asked.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.5)
    raise SystemExit("error: the app did not answer within five minutes; its log says why")


def soak(folder: Path, minutes: float) -> list[str]:
    """Run all for so long, write `samples.csv`, and say what grew, failed or was left."""
    from playwright.sync_api import TimeoutError as NoAnswer
    from playwright.sync_api import sync_playwright

    from tests.chromium import CHROMIUM, FLAGS

    watched, address = _start(folder)
    samples: list[dict[str, Any]] = []
    problems: list[str] = []
    begun = sampled = time.monotonic()
    requests = 0

    def sample() -> None:
        nonlocal sampled
        sampled = time.monotonic()
        temporary = len(_temporary(folder))
        logs = _bytes_of_logs(folder)
        for each in watched:
            row = {"minute": round((sampled - begun) / 60, 2), "process": each.name, **each.sample()}
            samples.append({**row, "temporary": temporary, "log_bytes": logs, "requests": requests})

    try:
        _wait_for(address)
        with sync_playwright() as running:
            browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            while time.monotonic() - begun < 60 * minutes:
                try:
                    ask(browser, address, folder / "upload.png", requests // _REQUESTS_A_TAB)
                except NoAnswer:
                    problems.append(f"the app gave no answer within {_ANSWER_S} s after {requests} requests")
                    break
                requests += _REQUESTS_A_TAB
                if dead := [each.name for each in watched if each.process.poll() is not None]:
                    problems.append(f"ended too early: {', '.join(dead)}")
                    break
                if time.monotonic() - sampled >= _EVERY_S:
                    sample()
            browser.close()
    finally:
        for each in watched:
            each.process.terminate()
        for each in watched:
            try:
                each.process.wait(120)
            except subprocess.TimeoutExpired:
                problems.append(f"{each.name} did not end within two minutes of its signal")
                each.process.kill()
        _write(folder / "samples.csv", samples)
    left = _temporary(folder)
    return [
        *problems,
        *_growth(samples),
        *([f"left in the folder of temporary files: {', '.join(left[:9])}"] if left else []),
    ]


def _write(path: Path, samples: Sequence[dict[str, Any]]) -> None:
    if samples:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(samples[0]))
            writer.writeheader()
            writer.writerows(samples)


def _growth(samples: Sequence[dict[str, Any]]) -> list[str]:
    """Print medians of the first and last quarter after the warm-up, and say which grew."""
    last = max((row["minute"] for row in samples), default=0.0)
    warm = [row for row in samples if row["minute"] >= _WARM * last]
    if len({row["minute"] for row in warm}) < 8:
        return ["too few samples to tell growth: give more minutes"]
    found = []
    print(f"{'process':<10} {'':<11} {'first':>9} {'last':>9}")
    for name in dict.fromkeys(row["process"] for row in warm):
        rows = [row for row in warm if row["process"] == name]
        quarter = len(rows) // 4
        for what in _COUNTED:
            first = float(np.median([row[what] for row in rows[:quarter]]))
            end = float(np.median([row[what] for row in rows[-quarter:]]))
            print(f"{name:<10} {what:<11} {first:>9.1f} {end:>9.1f}")
            limit = _MAX_MEMORY_GROWTH * first if what == "memory_mib" else _MAX_HANDLES_GROWTH
            if end - first > limit:
                found.append(f"{name}: {what} grew from {first:.1f} to {end:.1f}")
    hours = (warm[-1]["minute"] - warm[0]["minute"]) / 60
    logged = (warm[-1]["log_bytes"] - warm[0]["log_bytes"]) / hours
    print(f"logs grow by {logged / 1e3:.1f} kB an hour; {warm[-1]['requests']} requests of the app")
    if logged > _MAX_LOG_BYTES_AN_HOUR:
        found.append(f"logs grow by {logged / 1e6:.1f} MB an hour")
    return found


def main() -> None:
    """Print a table; exit with 1 where something grew or was left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--keep", type=Path, help="folder for samples and logs; must not exist")
    parser.add_argument("--infer", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.infer:
        infer(given.infer)
        return
    with tempfile.TemporaryDirectory(prefix="soak_", ignore_cleanup_errors=True) as folder:
        problems = soak((given.keep or Path(folder)).resolve(), given.minutes)
    print("\n".join(problems) or "nothing grew, nothing was left")
    sys.exit(int(bool(problems)))


if __name__ == "__main__":
    main()
