"""The configuration that tests compose is the one that Hydra composes, and no test sees what another changed."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ReadonlyConfigError

from medsam_exp.cli.compose import register
from medsam_exp.cli.quick_hydra import quicken
from tests.compose import composed, composed_by_hydra
from tests.conftest import ROOT


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


IN_TURN = [
    ("+experiment=busi_weak", "data=phantom_classes", "presence=calibrated"),
    ("+experiment=busi_weak", "sam=vit_b"),
    ("+experiment=busi_salip", "search=phantom"),
    ("+experiment=busi_salip", "saliency=nowhere"),
    ("+experiment=loss_ablation", "hydra/launcher=slurm", f"hydra.searchpath=[file://{ROOT}/tests]"),
    ("~tuned/network", "weak_label@reference_label=all", "+sweep=[seeds,component_filter]"),
    ("+experiment=demo", "seed=x"),
    ("+experiment=demo",),
    ("+experiment=demo",),
]
"""Options that begin alike and do not, and some that are refused."""


def node_trees() -> str:
    """All that OmegaConf knows of each configuration of `IN_TURN`, node by node, or why there is none."""
    found: list[object] = []
    for overrides in IN_TURN:
        try:
            cfg = composed_by_hydra(*overrides)
        except Exception as error:
            found.append((type(error).__name__, str(error)))
        else:
            found.append(node_tree(cfg, None))
            cfg.stages.append("changed")  # which no later one may see
    return repr(found)


def node_tree(node: Any, parent: Any) -> object:
    assert node._get_parent() is parent
    known = {
        name: value for name, value in vars(node._metadata).items() if name != "resolver_cache"
    }  # has the time
    flags = [node._get_flag(name) for name in ("struct", "readonly", "no_deepcopy_set_nodes")]
    content = vars(node).get("_content")
    if isinstance(content, dict):
        content = {key: node_tree(child, node) for key, child in content.items()}
    elif isinstance(content, list):
        content = [node_tree(child, node) for child in content]
    return type(node), known, flags, content, vars(node).get("_val")


def test_quick_ways_compose_as_hydra_does() -> None:
    code = (
        "import omegaconf; omegaconf.__version__ = '2.4.0'; from tests.test_compose import node_trees; "
        "print(node_trees(), end='')"
    )
    plain = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert node_trees() == plain.stdout
    assert "ConfigCompositionException" in plain.stdout


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


def test_flags_of_a_copy_are_its_own() -> None:
    """As Hydra sets them on copies of what it instantiates."""
    quicken()
    original = OmegaConf.create({"saliency": {"beta": 1.0}})
    OmegaConf.set_readonly(original, True)
    original.saliency._metadata.flags = {}
    copied = copy.deepcopy(original)
    OmegaConf.set_readonly(copied.saliency, False)
    copied.saliency.beta = 2.0
    with pytest.raises(ReadonlyConfigError):
        original.saliency.beta = 3.0


def test_flags_that_were_looked_up_below_another_parent_are_forgotten() -> None:
    quicken()
    child = OmegaConf.create({"beta": {"value": 1.0}})
    assert not OmegaConf.is_readonly(child.beta)
    parent = OmegaConf.create({"saliency": {}})
    parent.saliency = child
    OmegaConf.set_readonly(parent, True)
    with pytest.raises(ReadonlyConfigError):
        parent.saliency.beta.value = 3.0
