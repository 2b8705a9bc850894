"""The configuration that tests compose is the one that Hydra composes, and no test sees what another changed."""

import subprocess
import sys
from pathlib import Path

import hydra
import pytest
from hydra._internal import defaults_list
from hydra._internal.config_repository import ConfigRepository
from omegaconf import OmegaConf

from medsam_exp.cli.compose import register
from medsam_exp.cli.quick_hydra import INTERPOLATION_MAP, LOAD, quicken
from tests.compose import composed, composed_by_hydra


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("saliency=gradcam", "saliency.layer=4", "seed=7", "+saliency.new=[1,2]"),
        ("+experiment=phantom_weak", "~tuned/network", "train_data.seed=9", "++calibration_data.count=3"),
        (
            "stages=[tune]",
            "search=phantom",
            "~search.space.saliency.layer",
            "+search.space.postprocess.bins=[2,3]",
        ),
        ("weak_label@reference_label=all", "data.count=2"),
        ("+sweep=[seeds,component_filter]", "seed=0", "prompt=points"),
        ("~sam.architecture", "paths.outputs=/somewhere/else", "sam={checkpoint: x}"),
    ],
    ids=" ".join,
)
def test_it_is_the_one_of_hydra(overrides: tuple[str, ...]) -> None:
    expected = composed_by_hydra(*overrides)
    for _ in range(2):
        found = composed(*overrides)
        assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected)
        assert found == expected
        assert OmegaConf.is_struct(found) == OmegaConf.is_struct(expected)


@pytest.mark.parametrize(
    "override",
    [
        "seed=abc",
        "stagess=[]",
        "saliency.betta=1",
        "saliency=nowhere",
        "seed=1,2",
        "~no.such",
        "a@b=c",
        "+seed=1",
    ],
)
def test_what_hydra_refuses_is_refused_alike(override: str) -> None:
    said = []
    for compose in (composed, composed_by_hydra):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            compose(override)
        said.append((caught.type, str(caught.value)))
    assert said[0] == said[1]


def test_what_one_test_changes_no_other_sees() -> None:
    changed = composed("saliency=m2ib")
    changed.saliency.beta = 77
    assert composed("saliency=m2ib").saliency.beta != 77


@pytest.mark.parametrize("experiment", ["busi_weak", "loss_ablation", "demo"])
def test_quick_ways_compose_as_hydra_does(experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = (f"+experiment={experiment}", "data=phantom_classes", "presence=calibrated")
    quick = [composed_by_hydra(*overrides) for _ in range(2)]
    monkeypatch.setattr(ConfigRepository, "load_config", LOAD)
    monkeypatch.setattr(defaults_list, "_create_interpolation_map", INTERPOLATION_MAP)
    plain = composed_by_hydra(*overrides)
    assert [OmegaConf.to_yaml(each) for each in quick] == [OmegaConf.to_yaml(plain)] * 2
    assert quick[0] == quick[1] == plain


def test_a_file_that_has_changed_is_read_again_and_a_configuration_is_nobody_elses(tmp_path: Path) -> None:
    quicken()
    seen = []
    for number in (1, 2):
        (tmp_path / "config.yaml").write_text(f"number: {number}\nlisted: [{number}]\n")
        for _ in range(2):
            with hydra.initialize_config_dir(str(tmp_path), version_base="1.3"):
                cfg = hydra.compose("config")
            seen.append(OmegaConf.to_container(cfg))
            cfg.number = cfg.listed[0] = 77
    assert seen == [{"number": 1, "listed": [1]}] * 2 + [{"number": 2, "listed": [2]}] * 2


@pytest.mark.parametrize("other", ["hydra.__version__ = '1.4.0'", "omegaconf.__version__ = '2.4.0'"])
def test_other_versions_compose_by_their_plain_ways(other: str) -> None:
    code = (
        f"import sys, hydra, omegaconf; {other}; from medsam_exp.cli.compose import composed; "
        "content = omegaconf.OmegaConf.to_yaml(composed(['+experiment=demo', 'saliency=gradcam'])); "
        "assert 'medsam_exp.cli.quick_hydra' not in sys.modules; print(content, end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == OmegaConf.to_yaml(composed("+experiment=demo", "saliency=gradcam"))


def test_inner_names_that_are_gone_are_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "medsam_exp.cli.quick_hydra", None)
    register()
