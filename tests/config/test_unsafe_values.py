"""Names that stay below the outputs, and passwords that never reach a folder."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from medsam_exp.config.unsafe_values import name_problems, unsafe_values


@pytest.mark.parametrize(
    "name", ["", " ", "a\nb", "a\0b", "..", "../a", "a/../../b", "/a", "C:\\a", "\\\\host\\a", "a\\..\\..\\b"]
)
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    (problem,) = name_problems(name)
    assert problem.isprintable()
    assert "give a name" in problem


@pytest.mark.parametrize("name", ["demo", "study/first", "a b", "..a", "größe", "a..b"])
def test_other_names_stay_below(name: str, tmp_path: Path) -> None:
    assert list(name_problems(name)) == []
    assert (tmp_path / name).resolve().is_relative_to(tmp_path.resolve())


def test_a_password_is_named_by_its_key_alone() -> None:
    cfg = OmegaConf.create(
        {
            "name": "a",
            "paths": {"proxy": "http://u:SECRET@h:1", "mirrors": {"https://x": "https://:SECRET@h"}},
            "hydra": {"overrides": ["paths.proxy=http://u:SECRET@h:1"]},
        }
    )
    problems = list(unsafe_values(cfg, ["+data.root=ftp://u:SECRET@h/x", "seed=1"]))
    assert [problem.split()[0] for problem in problems] == [
        "paths.proxy",
        "paths.mirrors.https://x",
        "data.root",
    ]
    assert "SECRET" not in "".join(problems)


@pytest.mark.parametrize(
    "value", ["${oc.env:PROXY}", "http://h:8080", "http://u@h", "a//b:c", "https://h/a:b@c"]
)
def test_an_address_without_a_password_may_stand(value: str) -> None:
    assert list(unsafe_values(OmegaConf.create({"name": "a", "paths": {"proxy": value}}))) == []
