"""The configuration that tests compose is the one that Hydra composes, and no test sees what another changed."""

import pytest
from omegaconf import OmegaConf

from tests.compose import composed, composed_by_hydra


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("saliency=gradcam", "saliency.layer=4", "seed=7", "+saliency.new=[1,2]"),
        ("+experiment=phantom_weak", "~tuned", "train_data.seed=9", "++calibration_data.count=3"),
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
