"""Texts and paths arrive as they were typed; sweeps stay sweeps; of the rest is said how to type it."""

import inspect
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from medsam_exp.cli import run
from medsam_exp.cli.compose import composed
from medsam_exp.config.overrides import FREE_TEXTS, TEXTS, divided_text, hydra_value, quoted
from medsam_exp.config.schema import Paths
from medsam_exp.config.shells import for_shell
from medsam_exp.report.summary import command_line
from medsam_exp.types import UserError
from tests.compose import CONF
from tests.conftest import ROOT

TYPED = [
    "a dark, irregular mass",
    "a mass (malignant)",
    "crohn's disease",
    "Läsion in der Leber",
    "size=3 cm",
    "mass #2",
    "pink & green",
    "肿瘤",
    "{left}",
    "[left]",
    'a "dark" mass',
    'it\'s "dark", (left)',
    "~3 mm",
    "<5 mm",
    "mass; left",
    "5",
    "-3",
    "true",
    "null",
    "1e3",
    "a,b",
    "range(1,3)",
    "ends with \\",
    "$HOME `x` !",
]
PATHS = [
    "benign (1).png",
    "epoch=9-step=100.ckpt",
    "=9-step=100.safetensors",
    "Größe/ä.png",
    "a,b.png",
    "a&b;c",
]
NASTY = [*TYPED, *PATHS, "a dark mass, irregular (3 cm) = lesion", "5 mm", "a\tb", "${left", "two  blanks"]
NASTY.remove("null")  # which only keys that always take a text have as one


def arrived(word: str) -> str:
    """What Hydra makes of one word of the command line."""
    value = OverridesParser.create().parse_override(quoted([word])[0]).value()
    return str(getattr(value, "text", value))


@pytest.mark.parametrize("text", TYPED)
def test_every_text_arrives_as_it_was_typed(text: str) -> None:
    assert arrived(f"text.text={text}") == text
    assert shlex.split(command_line(quoted([f"text.text={text}"])))[2:] == quoted([f"text.text={text}"])


def test_an_image_and_a_text_in_the_configuration() -> None:
    cfg = composed(
        ["text=free", f"text.text={TYPED[11]}", "name=null", "data=image", f"data.path={PATHS[0]}"]
    )
    assert (cfg.text.text, cfg.name, cfg.data.path) == (TYPED[11], "null", PATHS[0])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "key", ["data.path", "clip.weights", "++sam.checkpoint", "+pairs.train.file", "data.exclude"]
)
def test_paths_too(key: str, path: str) -> None:
    if key == "data.exclude" and path == "a,b.png":  # two names, for all we know
        assert quoted([f"{key}={path}"]) == [f"{key}={path}"]
    else:
        assert arrived(f"{key}={path}") == path


@pytest.mark.parametrize(
    "word",
    [
        "text.text=a dark mass",
        "text.text='quoted, by hand'",
        'text.text="quoted, by hand"',
        "text.text=${data.target}",
        "data.index=null",
        "clip.weights=null",
        "data.mask_values=[1,2]",
        "data.exclude=[a,b]",
        "saliency.beta=0.5",
        "stages=[saliency,evaluate]",
        "data.classes={a: [1]}",
        "~logger",
        "+experiment=demo",
        "--cfg",
        "job",
    ],
)
def test_what_hydra_reads_as_meant_stays(word: str) -> None:
    assert quoted([word]) == [word]


def test_commas_divide_in_a_sweep_alone() -> None:
    sweep = "text.text=a dark mass,a bright mass"
    assert quoted(["-m", sweep]) == ["-m", sweep]
    assert quoted([sweep, "--multirun"]) == [sweep, "--multirun"]
    assert quoted([sweep]) == ["text.text='a dark mass,a bright mass'"]
    for mode in ("+sweep=seeds", "+sweep=[saliency,seeds]", "hydra.mode=MULTIRUN"):
        assert quoted([mode, sweep]) == [mode, sweep]
    both = "text.text='a dark, round mass','a mass'"
    assert quoted(["-m", both]) == ["-m", both]
    assert quoted(["-m", "text.text=crohn's disease"]) == ["-m", "text.text='crohn\\'s disease'"]


@pytest.mark.parametrize(
    ("words", "key", "options"),
    [
        (["-m", "text.text=a (left), b"], "text.text", ["text.text='a (left), b'", "text.text='a (left)',b"]),
        (["wandb.note=a (left)"], "wandb.note", ["wandb.note='a (left)'"]),
    ],
)
def test_the_error_shows_what_to_type(words: list[str], key: str, options: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        quoted(words)
    said = str(caught.value)
    assert said.startswith(f"{key}=a (left)")
    assert "\n" not in said
    for option in options:
        assert for_shell(option) in said
        OverridesParser.create().parse_override(option)


KEYS = [
    "text.text",
    *(f"data.{key}" for key in ("root", "class_name", "class_pattern", "index", "patient_pattern", "target")),
    *("clip.weights", "paths.weights", "paths.tuned", "paths.artifacts", "name"),
]
"""Keys of texts and paths."""
OPTIONS = ["text=free", "data=folder", "clip=biomedclip"]


@pytest.mark.parametrize("several", [False, True], ids=["run", "sweep"])
def test_they_arrive_in_runs_and_sweeps_and_when_these_are_repeated(
    several: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[str], list[str]]] = []

    def ran(cfg: DictConfig, folder: Path, choices: object, typed: list[str], *_: object) -> None:
        (folder / "summary.json").write_text("{}")
        seen.append(([OmegaConf.select(cfg, key) for key in KEYS], typed))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["run.py"])
    monkeypatch.setattr("medsam_exp.cli.runner.run", ran)
    monkeypatch.setattr("medsam_exp.sweep.callback.SweepCallback._collect", lambda *_, **__: None)
    monkeypatch.setattr("medsam_exp.cli.runner.plan_digest", lambda _: "")
    for first in range(0, len(NASTY), len(KEYS)):
        texts = (NASTY[first:] + NASTY)[: len(KEYS)]
        typed = [
            f"{key}={hydra_value(text) if several and ',' in text else text}"
            for key, text in zip(KEYS, texts, strict=True)
        ]
        where = ["hydra.run.dir=run (1)"]
        run.main([*(["-m"] if several else []), *OPTIONS, *typed, *where])
        values, recorded = seen.pop()
        assert values == texts
        again = composed(shlex.split(command_line(recorded))[2:])
        assert [OmegaConf.select(again, key) for key in KEYS] == texts


def test_a_sweep_says_that_it_divides_a_text() -> None:
    said = divided_text("text.text=a dark mass, round")
    assert said.endswith("""a dark mass | round; as one text it is typed text.text="'a dark mass, round'\"""")
    for line in ("text.text=a mass,a cyst", "text.text='a, b'", "saliency=m2ib, rise", "+sweep=[a, b]"):
        assert divided_text(line) == ""


def test_run_py_takes_them() -> None:
    def run(text: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "run.py", "text=free", text, "--cfg", "job", "--package", "text"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    done = run("text.text=Crohn's disease, <5 mm (5)")
    assert OmegaConf.create(done.stdout).text == "Crohn's disease, <5 mm (5)"


def _kinds(hint: Any) -> set[Any]:
    united = get_origin(hint) in (Union, types.UnionType)
    return set().union(*map(_kinds, get_args(hint))) if united else {hint}


def _texts_of(node: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Keys of a node that take nothing but a text or a path."""
    if not isinstance(node, dict):
        return
    if target := node.get("_target_"):
        made = get_object(target)
        hints = get_type_hints(made.__init__ if inspect.isclass(made) else made)
        names = [
            name for name, hint in hints.items() if name != "return" and _kinds(hint) <= {str, type(None)}
        ]
        yield from (f"{path[0]}.{name}" for name in names if str in _kinds(hints[name]))
    for key, child in node.items():
        yield from _texts_of(child, (*path, str(key)))


def test_the_keys_are_those_whose_only_kind_is_text() -> None:
    found = {f"paths.{field.name}" for field in fields(Paths) if _kinds(field.type) <= {str, type(None)}}
    for path in sorted(CONF.glob("*/*.yaml")):
        group = path.parent.name
        if group not in {"hydra", "experiment", "trainer"}:
            found |= set(_texts_of(OmegaConf.to_container(OmegaConf.load(path), resolve=False), (group,)))
    own = {"calibration_data.root", "train_data.root", "name", "hydra.dir", "hydra.subdir"}
    assert (FREE_TEXTS | TEXTS) - own == found
