"""Random faults in real runs, bounded and seeded: `python -m tests.chaos.run --rounds 50 --seed 0`.

Each round disturbs a run, a sweep of two processes, a training, one of nnU-Net, a run or training of two processes, or
the app, then gives the same command again: it must end with exit code 0, and with the masks and tables of an
undisturbed one, byte for byte. Runs are forks of this process, which has imported what they need.
"""

import argparse
import atexit
import ctypes
import errno
import hashlib
import itertools
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
from PIL import Image

from medsam_exp.cli import run as command
from medsam_exp.cli.main import main as other_command
from medsam_exp.config.schema import check
from medsam_exp.runtime.interrupts import ENDED_BY_SIGNAL
from tests.chaos.app import ask_app
from tests.chaos.damage import DAMAGES, files_to_damage
from tests.chaos.full_disk import FullDisk, places
from tests.chaos.processes import command_line, with_children
from tests.compose import composed
from tests.weak_chain import CHAIN

SMALL = ("clip=tiny_random", "sam=tiny_scratch", "saliency.steps=2", "saliency.noise_samples=1", "workers=0")
_IMAGES = 3
_IMPORTED = (
    "medsam_exp.cli.runner",
    "medsam_exp.stages.context",
    "matplotlib.figure",
    "pandas",
    "sklearn.cluster",
)
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux's prctl
_SECONDS_TO_STOP = 15.0
_SECONDS_TO_END = 300.0


@dataclass(frozen=True)
class Scenario:
    """A command, but for the folders that differ from round to round.

    Attributes:
        name: of the scenario.
        words: of the command line.
        several: whether it is a sweep.
        kinds: of faults that it is disturbed by; empty for all but a lost process.
        main: what takes the command line.
        code: that it ends with where nothing disturbs it.
    """

    name: str
    words: tuple[str, ...] = ()
    several: bool = False
    kinds: tuple[str, ...] = ()
    main: Callable[[list[str]], object] = command.main
    code: int = 0

    @property
    def reads_data(self) -> bool:
        """Whether it reads the folder of images; others draw their own."""
        return "data=folder" in self.words

    def command(self, outputs: Path, data: Path, run_dir: str = "run") -> list[str]:
        """The whole command line."""
        if self.main is ask_app:
            return [str(outputs), str(data)]
        places = [f"paths.outputs={outputs}", *([f"data.root={data}"] if self.reads_data else [])]
        return [*self.words, *places, *(["-m"] if self.several else [f"hydra.run.dir={outputs / run_dir}"])]

    def can_meet(self, kind: str) -> bool:
        """Whether it is disturbed by a kind of fault."""
        return kind in self.kinds if self.kinds else kind != _LOST


_FOLDER = ("data=folder", "data.modality=ultrasound", "data.target=lesion", "text=class_name")
_RUN = (*SMALL, *_FOLDER, "batch_size.saliency=2", "batch_size.sam_mask=1")
_TRAINING = (
    *(*SMALL, *_FOLDER, "pairs=phantom", "pairs.train.count=8", "pairs.validation.count=4"),
    *("loss=dhn_nce", "optimizer.lr=1e-4", "fit=tiny_clip", "fit.batch_size=4", "fit.epochs=2"),
    "stages=[finetune_clip,saliency,coarse_mask,evaluate]",
)
_TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
_LOST, _KILLS = "lost process", ("kill -9", "SIGTERM", "Ctrl-C")
SCENARIOS = (
    Scenario("run", _RUN),
    Scenario(
        "sweep",
        (
            *(*SMALL, *_FOLDER, "stages=[saliency,coarse_mask,evaluate]", "seed=0,1"),
            *("hydra/launcher=processes", "hydra.launcher.n_jobs=2"),
        ),
        several=True,
    ),
    Scenario("training", _TRAINING),
    Scenario("nnU-Net", CHAIN, kinds=(*_KILLS, "disk full", "damaged file")),
    Scenario("two ranks", (*_RUN, *_TWO), kinds=(_LOST, *_KILLS)),
    Scenario("training of two", (*_TRAINING, *_TWO), kinds=(_LOST, *_KILLS)),
    Scenario("app", kinds=_KILLS, main=ask_app, code=ENDED_BY_SIGNAL + signal.SIGINT),
)


@dataclass
class Round:
    """What came of one.

    Attributes:
        kind: of the fault.
        scenario: that was disturbed.
        codes: exit codes of what was disturbed.
        problems: what must not be; none where all is well.
        said: by the command when it was given again.
    """

    kind: str
    scenario: str
    codes: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    said: str = ""


class Chaos:
    """Disturbs commands within a folder.

    Args:
        folder: for everything.
        seed: of what is done when.
        scenarios: to choose from.
        signals: that a round sends, one after the other, to a command that goes on each time.
    """

    def __init__(
        self, folder: Path, seed: int, scenarios: Sequence[Scenario] = SCENARIOS, signals: int = 3
    ) -> None:
        self._folder, self._random, self._scenarios, self._signals = (
            folder,
            random.Random(seed),
            scenarios,
            signals,
        )
        self._rounds, self._kinds = 0, Counter[str]()
        self._data = folder / "data"
        _draw(self._data)
        self._expected: dict[str, dict[str, str]] = {}
        self._seconds: dict[str, float] = {}
        self._writes: dict[str, int] = {}
        for module in _IMPORTED:
            import_module(module)
        for scenario in scenarios:  # imports what the configuration names
            if scenario.main is not command.main:
                continue
            words = (word for word in scenario.words if not word.startswith(("hydra", "seed=")))
            check(composed(*words, *([f"data.root={self._data}"] if scenario.reads_data else [])))
        ctypes.CDLL(None).prctl(_SUBREAPER, 1)
        for scenario in scenarios:
            outputs, started = self._undisturbed(scenario), time.monotonic()
            child = self._begin(scenario, outputs, self._data)
            code = _ended(child, _SECONDS_TO_END)
            self._seconds[scenario.name] = time.monotonic() - started
            if code != scenario.code:
                raise SystemExit(f"the undisturbed {scenario.name} failed:\n{_said(outputs)}")
            self._expected[scenario.name] = results(outputs)
            self._writes[scenario.name] = len(files_to_damage(outputs))

    def _undisturbed(self, scenario: Scenario) -> Path:
        """What the command leaves that nothing disturbs."""
        return self._folder / f"undisturbed_{scenario.name.replace(' ', '_')}"

    def round(self, kind: str) -> Round:
        """Disturb one command by a kind of fault, and give it again."""
        able = [scenario for scenario in self._scenarios if scenario.can_meet(kind)]
        return self._round(kind, able[self._kinds[kind] % len(able)], KINDS[kind])

    def writes(self, scenario: Scenario, most: int) -> Iterator[Round]:
        """Let the disk be full from the first write at each place on, or at so many of the places that there are."""
        outputs = self._folder / "counted"
        log = outputs.with_suffix(".writes")
        disk = FullDisk(outputs, math.inf, log=log)
        if _ended(self._begin(scenario, outputs, self._data, disk.install), _SECONDS_TO_END) != scenario.code:
            raise SystemExit(f"the counted {scenario.name} failed:\n{_said(outputs)}")
        numbers = places(log, outputs)
        shutil.rmtree(outputs)
        log.unlink()
        step = max(1.0, len(numbers) / most)
        for place in [list(numbers)[int(step * n)] for n in range(min(most, len(numbers)))]:

            def fill(
                _: Chaos, scenario: Scenario, outputs: Path, data: Path, done: Round, place: str = place
            ) -> None:
                done.kind = f"disk full: {place}"
                full = FullDisk(outputs, numbers[place] - 1)
                child = self._begin(scenario, outputs, data, full.install)
                self._one_sentence(_ended(child, _SECONDS_TO_END), outputs, done)

            yield self._round("disk full", scenario, fill)

    def damages(self, how: str) -> Iterator[Round]:
        """Damage each file that the first command leaves, one after the other, and give it again each time."""
        scenario = self._scenarios[0]
        undisturbed = self._undisturbed(scenario)
        for path in files_to_damage(undisturbed):
            place = path.relative_to(undisturbed)

            def damage(
                _: Chaos, scenario: Scenario, outputs: Path, data: Path, done: Round, place: Path = place
            ) -> None:
                del data
                shutil.copytree(self._undisturbed(scenario), outputs)
                DAMAGES[how](outputs / place, self._random)
                done.kind = f"{place}: {how}"

            yield self._round(how, scenario, damage)

    def _round(self, kind: str, scenario: Scenario, disturb: "Disturbance") -> Round:
        self._rounds += 1
        self._kinds[kind] += 1
        outputs, data = self._folder / f"round_{self._rounds}", self._folder / f"data_{self._rounds}"
        shutil.copytree(self._data, data)
        done = Round(kind, scenario.name)
        try:
            disturb(self, scenario, outputs, data, done)
            _wait_for_orphans(done)
            said = _said(outputs)
            code = _ended(self._begin(scenario, outputs, data), _SECONDS_TO_END)
            again = _said(outputs)[len(said) :]
            if code != scenario.code:
                done.problems.append(f"the same command ended with {code}: {again[-1500:]}")
            done.said = again
            if "Traceback" in said + again:
                done.problems.append(f"a traceback: {(said + again)[-3000:]}")
            if (found := results(outputs)) != self._expected[scenario.name]:
                differing = {name for name, _ in found.items() ^ self._expected[scenario.name].items()}
                done.problems.append(f"other results: {sorted(differing)[:5]}")
            if left := [path for path in outputs.rglob(".*") if path.is_file() and path.name.count("-") == 1]:
                done.problems.append(f"left over: {left[0]}")
            if left := temporary_files(outputs):
                done.problems.append(f"left among temporary files: {left[0]}")
        finally:
            _wait_for_orphans(done)
        if not done.problems:
            shutil.rmtree(outputs)
        shutil.rmtree(data)
        return done

    def signalled(
        self, number: signal.Signals, scenario: Scenario, outputs: Path, data: Path, done: Round
    ) -> None:
        """Send a signal at some moment of a command, and of those that go on after it."""
        for times in range(self._signals):
            child = self._begin(scenario, outputs, data)
            self._wait(child, scenario, 0.7 / (times + 1))  # less is left each time
            with suppress(ProcessLookupError):
                (os.killpg if number is signal.SIGINT and not scenario.several else os.kill)(child, number)
            code = _ended(child, _SECONDS_TO_STOP)
            done.codes.append(code)
            _wait_for_orphans(done)
            expected = (scenario.code, -number if number is signal.SIGKILL else ENDED_BY_SIGNAL + number)
            if code not in expected:
                done.problems.append(f"{number.name} ended it with {code}: {_said(outputs)[-1500:]}")

    def lost_process(self, scenario: Scenario, outputs: Path, data: Path, done: Round) -> None:
        """Kill one of the processes that share a job, at some moment of their work; the job says so and ends."""
        for times in range(self._signals):
            child = self._begin(scenario, outputs, data)
            while not (members := _members(child)) and _is_running(child):
                time.sleep(0.02)
            self._wait(child, scenario, 0.7 / (times + 1))
            if members := _members(child):
                os.kill(self._random.choice(members), signal.SIGKILL)
            self._one_sentence(_ended(child, _SECONDS_TO_END), outputs, done)
            _wait_for_orphans(done)

    def full_disk(self, number: int, scenario: Scenario, outputs: Path, data: Path, done: Round) -> None:
        """Let the disk refuse everything from some write on."""
        after = self._random.randrange(self._writes[scenario.name])
        child = self._begin(scenario, outputs, data, FullDisk(outputs, after, number).install)
        self._one_sentence(_ended(child, _SECONDS_TO_END), outputs, done)

    def size_limit(self, scenario: Scenario, outputs: Path, data: Path, done: Round) -> None:
        """Let no file grow beyond some size; every library meets it."""
        most = self._random.choice((4000, 10_000, 30_000, 100_000))
        limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most, most))
        child = self._begin(scenario, outputs, data, limit)
        self._one_sentence(_ended(child, _SECONDS_TO_END), outputs, done)

    def damaged(self, scenario: Scenario, outputs: Path, data: Path, done: Round) -> None:
        """Damage a file of what an undisturbed command has left."""
        shutil.copytree(self._undisturbed(scenario), outputs)
        path = self._random.choice(files_to_damage(outputs))
        how = self._random.choice(sorted(DAMAGES))
        DAMAGES[how](path, self._random)
        done.kind = f"{done.kind}: {how}"

    def replaced(self, scenario: Scenario, outputs: Path, data: Path, done: Round) -> None:
        """Put another image in the place of one while a command works, and the old one back afterwards."""
        images = sorted((data / "test_images").iterdir())
        one, other = self._random.sample(images, 2)
        before = one.read_bytes()
        child = self._begin(scenario, outputs, data)
        self._wait(child, scenario)
        one.write_bytes(other.read_bytes())
        self._one_sentence(_ended(child, _SECONDS_TO_END), outputs, done)
        one.write_bytes(before)

    def cleaned(self, scenario: Scenario, outputs: Path, data: Path, done: Round) -> None:
        """Clean up while a command works."""
        child = self._begin(scenario, outputs, data)
        self._wait(child, scenario)
        cleaning = self._start(partial(_clean, outputs), outputs)
        done.codes.append(_ended(cleaning, _SECONDS_TO_END))
        self._one_sentence(_ended(child, _SECONDS_TO_END), outputs, done)

    def twice(self, scenario: Scenario, outputs: Path, data: Path, done: Round) -> None:
        """Give the same command twice at once."""
        children = [
            self._start(partial(scenario.main, scenario.command(outputs, data, place)), outputs)
            for place in ("beside", "run")
        ]
        for child in children:
            code = _ended(child, _SECONDS_TO_END)
            done.codes.append(code)
            if code:
                done.problems.append(f"one of two ended with {code}: {_said(outputs)[-1500:]}")
        shutil.rmtree(outputs / "beside", ignore_errors=True)

    def _one_sentence(self, code: int, outputs: Path, done: Round) -> None:
        done.codes.append(code)
        said = _said(outputs)
        if code not in (0, 1) or (code == 1 and "error" not in said):
            done.problems.append(f"it ended with {code}: {said[-1500:]}")

    def _wait(self, child: int, scenario: Scenario, most: float = 1.0) -> None:
        """Wait until some moment of a command, no later than after a share of its time, or until its end."""
        end = time.monotonic() + self._random.uniform(0.02, most) * self._seconds[scenario.name]
        while time.monotonic() < end and _is_running(child):
            time.sleep(0.01)

    def _begin(
        self, scenario: Scenario, outputs: Path, data: Path, first: Callable[[], object] = lambda: None
    ) -> int:
        """A fork that does as `python run.py WORDS` does, after something of its own."""

        def work() -> None:
            first()
            scenario.main(scenario.command(outputs, data))

        return self._start(work, outputs)

    def _start(self, work: Callable[[], object], outputs: Path) -> int:
        """A fork that does some work; its output is appended to a file."""
        outputs.mkdir(parents=True, exist_ok=True)
        sys.stdout.flush()
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            os.setsid()
            signal.signal(
                signal.SIGINT, signal.default_int_handler
            )  # ignored below a shell's background jobs
            output = os.open(_log_of(outputs), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            for stream in (1, 2):
                os.dup2(output, stream)
            sys.stdout = sys.stderr = os.fdopen(1, "w", buffering=1, closefd=False)
            sys.argv = ["run.py"]
            atexit._clear()
            work()
            code = 0
        except SystemExit as error:
            if isinstance(error.code, str):
                os.write(2, f"{error.code}\n".encode())
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            atexit._run_exitfuncs()
            with suppress(OSError):
                sys.stdout.flush()
            os._exit(code)


Disturbance = Callable[[Chaos, Scenario, Path, Path, Round], None]
KINDS: dict[str, Disturbance] = {
    "kill -9": lambda chaos, *given: chaos.signalled(signal.SIGKILL, *given),
    "SIGTERM": lambda chaos, *given: chaos.signalled(signal.SIGTERM, *given),
    "Ctrl-C": lambda chaos, *given: chaos.signalled(signal.SIGINT, *given),
    _LOST: Chaos.lost_process,
    "disk full": lambda chaos, *given: chaos.full_disk(errno.ENOSPC, *given),
    "quota used up": lambda chaos, *given: chaos.full_disk(errno.EDQUOT, *given),
    "file size limit": Chaos.size_limit,
    "damaged file": Chaos.damaged,
    "replaced image": Chaos.replaced,
    "clean-up meanwhile": Chaos.cleaned,
    "two at once": Chaos.twice,
}


def results(outputs: Path) -> dict[str, str]:
    """Digests of the masks and tables of a run, or of a sweep's jobs."""
    folders = [outputs / "run", *outputs.glob("sweeps/*/*/*")]
    found = [
        (folder, path)
        for folder in folders
        for path in (*folder.glob("masks/**/*.png"), folder / "per_image.csv")
        if path.is_file()
    ]
    return {
        f"{folder.name}/{path.relative_to(folder)}": hashlib.sha256(path.read_bytes()).hexdigest()
        for folder, path in found
    }


def temporary_files(outputs: Path) -> list[Path]:
    """Temporary files that are still there; torch's cache of compiled code, one for all processes, stays."""
    return [path for path in outputs.glob("temporary/*") if not path.name.startswith("torchinductor_")]


def _draw(folder: Path) -> None:
    """Noisy images with a bright disc each, and their masks."""
    generator = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / f"test_{part}").mkdir(parents=True)
    rows, columns = np.mgrid[:64, :80]
    for number in range(_IMAGES):
        disc = (rows - 20 - 4 * number) ** 2 + (columns - 60 + 5 * number) ** 2 < (6 + number) ** 2
        gray = np.clip(generator.normal(60, 20, disc.shape) + 120 * disc, 0, 255).astype(np.uint8)
        Image.fromarray(gray).save(folder / "test_images" / f"scan_{number}.png")
        Image.fromarray(disc.astype(np.uint8) * 255).save(folder / "test_masks" / f"scan_{number}.png")


def _clean(outputs: Path) -> None:
    code = other_command(["clean", str(outputs), "--yes", "--hours", "0"])
    if code:
        raise SystemExit(code)


def _log_of(outputs: Path) -> Path:
    return outputs.with_suffix(".log")


def _said(outputs: Path) -> str:
    return _log_of(outputs).read_text(errors="replace") if _log_of(outputs).is_file() else ""


def _is_running(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _members(child: int) -> list[int]:
    """The processes that share a job which a command has started."""
    return [
        pid for pid in with_children(child) if command_line(pid)[1:4] == ["-u", "-m", "medsam_exp.cli.worker"]
    ]


def _ended(child: int, seconds: float) -> int:
    """The exit code of a child, as `subprocess` has it; one that does not end in time is killed, and is -1000."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1000


def _wait_for_orphans(done: Round) -> None:
    """What a command has started must end with it; its orphans are this process's children."""
    end = time.monotonic() + _SECONDS_TO_STOP
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            if time.monotonic() > end:
                break
            time.sleep(0.02)
    done.problems.append("something that it had started went on")
    for line in Path("/proc/self/task").glob("*/children"):
        for left in line.read_text().split():
            os.kill(int(left), signal.SIGKILL)


def main() -> None:
    """Print a table by kind of fault; exit with 1 where a round did not end well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument(
        "--each-write", action="store_true", help="fill the disk at each place that a command writes to"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--signals", type=int, default=3, help="kills or signals a round, one after the other"
    )
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="KIND")
    parser.add_argument("--scenarios", nargs="+", choices=[one.name for one in SCENARIOS], metavar="NAME")
    parser.add_argument("--keep", type=Path, help="folder for what went wrong")
    given = parser.parse_args()
    chosen = [one for one in SCENARIOS if not given.scenarios or one.name in given.scenarios]
    kinds = [kind for kind in given.kinds if any(one.can_meet(kind) for one in chosen)]
    with tempfile.TemporaryDirectory(prefix="chaos_", ignore_cleanup_errors=True) as folder:
        chaos = Chaos(given.keep or Path(folder), given.seed, chosen, given.signals)
        rounds: list[Round] = []
        coming = (
            itertools.chain.from_iterable(chaos.writes(one, given.rounds // len(chosen)) for one in chosen)
            if given.each_write
            else (chaos.round(kinds[number % len(kinds)]) for number in range(given.rounds))
        )
        for number, done in enumerate(coming):
            rounds.append(done)
            told = "equal" if not done.problems else "\n".join(done.problems)
            print(f"{number + 1:>3} {done.scenario:<15} {done.kind:<24} {done.codes}: {told}", flush=True)
    _print_table(rounds)
    sys.exit(int(any(done.problems for done in rounds)))


def _print_table(rounds: Sequence[Round]) -> None:
    """By kind of fault: commands that it ended, rounds, and those whose results were equal."""
    by_kind: dict[str, list[Round]] = {}
    for done in rounds:
        by_kind.setdefault(done.kind.partition(":")[0], []).append(done)
    print(f"\n{'':<20}     ended  rounds  equal")
    for kind, those in (*by_kind.items(), ("all", rounds)):
        ended = sum(code != 0 for done in those for code in done.codes)
        well = sum(not done.problems for done in those)
        print(f"{kind:<20} {ended:>9}  {len(those):>6}  {well:>5}")


if __name__ == "__main__":
    main()
