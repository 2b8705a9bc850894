"""Before a sweep starts, every value of every axis is composed, and no more jobs than that takes."""

from importlib import reload
from itertools import product
from types import SimpleNamespace

import pytest
from hydra.core.plugins import Plugins
from hydra.errors import MissingConfigException

AXES = [
    ["saliency=m2ib", "saliency=gradcam", "saliency=intensity"],
    ["prompt=box", "prompt=points"],
    ["seed=3"],
]


def composed_of(jobs: list[tuple[str, ...]]) -> list[list[str]]:
    """The jobs that the sweeper composes before it starts."""
    seen: list[list[str]] = []

    def compose(master_config: object, sweep_overrides: list[str]) -> None:
        seen.append(sweep_overrides)
        if "prompt=misspelt" in sweep_overrides:
            raise MissingConfigException("no such choice")

    Plugins.instance()  # executes its plugins' modules again, also that of the class that GridSweeper extends
    from hydra_plugins.medsam_exp_launchers import sweeper as module

    sweeper = reload(module).GridSweeper(max_batch_size=None)
    sweeper.hydra_context = SimpleNamespace(config_loader=SimpleNamespace(load_sweep_config=compose))
    sweeper.config = {}
    sweeper.validate_batch_is_legal(jobs)
    return seen


def test_every_value_is_met_and_few_jobs_are_composed() -> None:
    seen = composed_of(list(product(*AXES)))
    assert {value for job in seen for value in job} == {value for axis in AXES for value in axis}
    assert len(seen) == 4  # the first job, one more prompt, two more saliency methods


def test_a_misspelt_value_is_found_wherever_it_stands() -> None:
    jobs = [*product(*AXES), ("saliency=m2ib", "prompt=misspelt", "seed=3")]
    with pytest.raises(MissingConfigException):
        composed_of(jobs)
