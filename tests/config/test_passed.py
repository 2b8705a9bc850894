"""A configuration that passed its checks is trusted as long as nothing changes that they looked at."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from medsam_exp.config import passed
from medsam_exp.config.passed import check_once
from medsam_exp.types import UserError
from tests.compose import composed

Ask = Callable[..., DictConfig]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Checks a run on a folder of images whose artifacts lie apart; further options are given."""
    (tmp_path / "data").mkdir()

    def asked(*overrides: str) -> DictConfig:
        places = (f"data.root={tmp_path / 'data'}", f"paths.artifacts={tmp_path / 'artifacts'}")
        return check_once(composed("data=folder", "text=free", "text.text=a mass", *places, *overrides))

    return asked


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[DictConfig]:
    """The configurations that are really checked; all pass."""
    found: list[DictConfig] = []
    monkeypatch.setattr(passed, "check", found.append)
    return found


def test_a_passed_configuration_is_checked_once_and_read_only_both_times(
    ask: Ask, checked: list[DictConfig]
) -> None:
    first, second = ask(), ask()
    assert len(checked) == 1
    assert first == second
    assert OmegaConf.is_readonly(first)
    assert OmegaConf.is_readonly(second)


def test_a_configuration_that_has_passed_is_not_looked_at_again(
    ask: Ask, checked: list[DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of a sweep is planned for its record, and then run."""
    first = ask()
    looked_at: list[DictConfig] = []
    monkeypatch.setattr(passed, "resolve", looked_at.append)
    assert check_once(first) is first
    assert not looked_at
    OmegaConf.set_readonly(first, False)
    check_once(first)
    assert looked_at == [first]


def test_a_refused_configuration_is_refused_again(ask: Ask) -> None:
    for _ in range(2):
        with pytest.raises(UserError, match=r"batch_size\.saliency=0"):
            ask("batch_size.saliency=0")


@pytest.mark.parametrize(
    ("target", "named"),
    [("null", "None"), ("3", "3"), ("[a]", r"\['a'\]"), ("__main__.Foo", "__main__"), (".Foo", r"\.Foo")],
)
def test_what_names_no_code_is_refused(target: str, named: str, ask: Ask) -> None:
    with pytest.raises(UserError, match=named):
        ask(f"saliency._target_={target}")


def test_a_folder_that_is_gone_is_missed_again(ask: Ask, tmp_path: Path) -> None:
    ask()
    (tmp_path / "data").rmdir()
    with pytest.raises(UserError, match=r"data\.root=.* is not a folder"):
        ask()


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "more").mkdir(),
        lambda root: (root / "index.csv").write_text("longer"),
        lambda root: os.utime(root / "index.csv", (1, 1)),
        lambda root: (root / "index.csv").unlink(),
    ],
    ids=["a folder more", "another size", "another time", "a file less"],
)
def test_what_lies_in_a_named_folder_counts(
    change: Callable[[Path], object], ask: Ask, checked: list[DictConfig], tmp_path: Path
) -> None:
    (tmp_path / "data" / "index.csv").write_text("one")
    ask()
    change(tmp_path / "data")
    ask()
    assert len(checked) == 2


@pytest.mark.parametrize("model", ["{}", "local-dir:{}"])
def test_a_changed_network_is_checked(
    model: str, ask: Ask, checked: list[DictConfig], tmp_path: Path
) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    (clip / "lock").symlink_to(clip / "nothing")
    (clip / "open_clip_config.json").write_text("{}")
    for content in ("{}", '{"unknown": 1}'):
        (clip / "open_clip_config.json").write_text(content)
        for _ in range(2):
            ask(f"clip.model={model.format(clip)}")
    assert len(checked) == 2


def test_another_value_is_checked(ask: Ask, checked: list[DictConfig]) -> None:
    ask()
    ask("seed=1")
    assert len(checked) == 2


def test_changed_code_and_packages_are_checked(
    ask: Ask, checked: list[DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, packages = tmp_path / "code", tmp_path / "packages"
    code.mkdir()
    packages.mkdir()
    (code / "module.py").write_text("1")
    monkeypatch.setattr(passed, "_PACKAGE", code)
    monkeypatch.syspath_prepend(packages)
    ask()
    (code / "module.py").write_text("22")
    ask()
    (packages / "other-2.0.dist-info").mkdir()
    ask()
    assert len(checked) == 3


def test_links_to_nothing_and_byte_code_are_no_change_of_the_code(
    ask: Ask, checked: list[DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = tmp_path / "code" / "__pycache__"
    compiled.mkdir(parents=True)
    (tmp_path / "code" / ".#module.py").symlink_to("user@host.1234")
    monkeypatch.setattr(passed, "_PACKAGE", tmp_path / "code")
    ask()
    (compiled / "module.pyc.140234").touch()
    ask()
    assert len(checked) == 1


@pytest.mark.parametrize(
    "option",
    ["clip.model=hf-hub:some/clip", "postprocess={_target_: own_code.Method}"],
    ids=["a repository of the hub", "somebody's own code"],
)
def test_what_cannot_be_seen_is_checked_each_time(
    option: str, ask: Ask, checked: list[DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "code" / "own_code").mkdir(parents=True)
    (tmp_path / "code" / "own_code" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "code")
    ask(option)
    ask(option)
    assert len(checked) == 2


def test_a_folder_that_cannot_be_written_is_no_reason_to_fail(
    ask: Ask, checked: list[DictConfig], tmp_path: Path
) -> None:
    (tmp_path / "artifacts").touch()  # a file where a folder should be
    ask()
    ask()
    assert len(checked) == 2


def test_only_the_checks_that_passed_last_are_remembered(
    ask: Ask, checked: list[DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passed, "_MOST_RECORDS", 2)
    folder = tmp_path / "artifacts" / passed.FOLDER
    for seed in range(4):
        ask(f"seed={seed}")
        for age, record in enumerate(sorted(folder.iterdir(), key=lambda each: each.stat().st_mtime_ns)):
            os.utime(record, (1000 * seed + age, 1000 * seed + age))
    assert len(list(folder.iterdir())) == 2
    ask("seed=3")
    assert len(checked) == 4
    ask("seed=0")
    assert len(checked) == 5
