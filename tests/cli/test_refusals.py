"""Misspelt groups, choices and keys: one sentence with what was meant, exit code 1, and nothing recorded."""

from pathlib import Path

import pytest

from medsam_exp.cli import run
from medsam_exp.cli.compose import composed
from medsam_exp.cli.refusals import stray_word
from medsam_exp.types import UserError
from tests.compose import CONF


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["salency=gradcam"], "salency=gradcam: there is no group or key salency; did you mean saliency or "),
        (["-m", "saliency=m2ib,grad_cam"], "saliency has no choice grad_cam; did you mean gradcam or "),
        (["-m", "saliency.bta=1,2"], "saliency.bta=1,2: saliency=m2ib has no key bta; did you mean saliency.beta?"),
        (["-m", "seed=1,abc"], "seed=abc: Value 'abc' of type 'str' could not be converted to Integer"),
        (["name=../../evil"], "name=../../evil leads out of the folder of runs: give a name such as "),
        (["name=/etc/passwd"], "name=/etc/passwd leads out of the folder of runs"),
        (["paths.proxy=http://u:PASSWORD@h:1"], "paths.proxy holds a password, and configurations are written"),
        (["-m", "seed=1,2", "+paths.mirrors={a: 'http://u:PASSWORD@h'}"], "paths.mirrors"),
        (["text.text=a", "dark mass"], 'dark mass is no option; keep a text together by quotes: text.text="a dark'),
    ],
)  # fmt: skip
def test_a_run_is_refused_in_one_sentence_before_anything_is_recorded(
    typed: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["run.py"])
    with pytest.raises(SystemExit) as ended:
        run.main(typed)
    assert str(ended.value).startswith(f"error: {said}")  # which Python prints, and exits with 1
    assert "\n" not in str(ended.value)
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["saliency=grad_cam"], "saliency has no choice grad_cam; did you mean gradcam or "),
        (["data.rot=x"], "data.rot=x: data=phantom has no key rot; did you mean data.root, a key of data="),
        (["root=x"], "root=x: there is no group or key root; did you mean data.root"),
        (["+experiment=demoo"], "experiment has no choice demoo; did you mean demo?"),
        (["saliency.unheard_of=3"], "saliency.unheard_of=3: saliency=m2ib has no key unheard_of; there are "),
        (["experiment=demo"], "experiment=demo: experiment is added with a plus sign: +experiment=demo"),
        (["+saliency=rise"], "+saliency=rise: saliency has a choice already, so it takes no plus sign: "),
        (["~logr"], "~logr: there is no group or key logr; did you mean logger?"),
        (["data=0"], "data has no choice 0; there are "),
        (["seed=1,2"], "seed=1,2 asks for several runs, which takes -m"),
        (
            ["stages=a,b"],
            "stages=a,b asks for several runs, which takes -m; a list is typed in brackets: stages=",
        ),
    ],
)
def test_every_command_says_what_was_meant(typed: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        composed(typed)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_what_stands_after_an_option_is_no_stray_word() -> None:
    typed = ["seed=1", "--cfg", "job", "-p", "text", "-m", "~logger", "-cd", "mine"]
    assert stray_word(typed, CONF) == ""


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("demo", "demo is no option; did you mean +experiment=demo?"),
        ("nothing.png", "'nothing.png' is no option; options are GROUP=CHOICE and KEY=VALUE"),
    ],
)
def test_a_word_without_a_key(word: str, said: str) -> None:
    assert stray_word([word], CONF).startswith(said)


def test_a_file_or_folder_alone_is_answered_with_its_option(tmp_path: Path) -> None:
    (tmp_path / "a scan.png").touch()
    assert stray_word([str(tmp_path)], CONF).endswith(f"did you mean data=folder data.root={tmp_path}?")
    image = str(tmp_path / "a scan.png")
    assert stray_word([image], CONF).endswith(f'did you mean data=image data.path="{image}"?')
