import pytest
from hydra import compose, initialize_config_dir

from medsam_exp.cli.compose import register
from medsam_exp.config.schema import check, resolve
from medsam_exp.config.settings import changed_settings
from tests.compose import CONF


@pytest.fixture(autouse=True)
def known() -> None:
    register()


def test_only_what_was_changed_is_named() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", ["saliency.beta=0.75", "prompt=points", "seed=7", "name=x", "workers=2"])
        found = changed_settings(check(cfg), {"prompt": "points", "saliency": "m2ib", "experiment": "none"})
        unchanged = changed_settings(check(compose("config", [])), {"prompt": "box"})
    assert unchanged == {}
    assert found["prompt"] == ("box", "points")
    assert found["seed"] == ("0", "7")
    assert found["saliency.beta"][1] == "0.75"
    assert found["prompt._target_"][1].endswith("PointsPerComponent")
    assert not {key for key in found if not key.startswith(("prompt", "seed", "saliency.beta"))}


def test_the_machine_decides_no_result_but_its_precision_does() -> None:
    options = ["trainer=ddp", "trainer.num_nodes=2", "trainer.sync_batchnorm=true"]
    options += ["trainer.precision=bf16-mixed", "+trainer.max_steps=5"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found = changed_settings(check(compose("config", options)), {"trainer": "ddp"})
    assert found == {
        "trainer.precision": ("auto", "bf16-mixed"),
        "trainer.max_steps": ("–", "5"),
    }


def test_where_a_folders_checks_are_stored_decides_no_result() -> None:
    options = ["data=folder", "data.root=images", "paths.artifacts=elsewhere"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", options)
        resolve(cfg)
        found = changed_settings(cfg, {"data": "folder"})
    assert found["data.root"][1] == "images"
    assert "data.remembered_in" not in found


def test_without_hydra_nothing_is_known() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = check(compose("config", ["seed=7"]))
    assert changed_settings(cfg, {}) == {}
