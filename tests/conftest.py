"""Fixtures for all tests, and the tiers: what is not asked for is skipped with a reason."""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from tests.nnunet_toy import Toy

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
INTEGRATION = (
    "integration/",
    "packaging/",
    "cli/app/test_page.py",
    "contracts/test_sweep.py",
    "docs/test_code_blocks.py",
    "docs/test_notebook.py",
    "docs/test_site.py",
    "cli/interactive/test_session.py",
    "training/test_nnunet_",
    "nnunet/test_checkpoints.py",
    "nnunet/test_raw_dataset.py",
    "nnunet/test_training",
    "nnunet/test_verify.py",
    "sweep/test_launch",
    "report/logger/test_wandb",
)
"""Tests of whole runs, sweeps, trainings, installs and pages, below tests/: they take seconds to minutes each."""
DEFAULT = {
    "integration/test_run.py": (
        "test_a_run_leaves_what_it_promises",
        "test_masks_are_lossless_and_in_the_original_frame",
        "test_the_same_run_again_computes_nothing_and_loads_no_network",
        "test_another_postprocessor_computes_no_saliency",
        "test_where_and_how_it_runs_is_not_part_of_the_key",
        "test_a_corrected_mask_computes_one_score",
        "test_results_do_not_depend_on_order_or_batch_mates",
        "test_an_empty_coarse_mask_gives_an_empty_mask_without_asking_sam",
        "test_without_masks_it_predicts_and_says_so",
        "test_a_missing_checkpoint_is_named_before_anything_is_computed",
        "test_a_missing_gpu_is_named_before_anything_is_computed",
        "test_a_run_whose_results_are_stored_imports_nothing_that_computes",
    ),
    "integration/test_training_run.py": ("test_a_short_training_leaves_its_curves_in_file_and_report",),
    "contracts/test_sweep.py": (
        "test_a_sweep_file_says_what_it_is_and_has_several_jobs",
        "test_two_files_run_their_product_and_each_job_can_be_repeated",
    ),
}
"""Of those, what the default tests keep: a run from end to end, a training, a sweep of two jobs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--run-integration", action="store_true", help="also run whole runs, sweeps and trainings"
    )
    parser.addoption("--run-slow", action="store_true", help="also run tests marked slow")


def pytest_configure() -> None:
    """Take Ctrl-C, which the tests send to themselves, even where they were started to ignore it, as by nohup."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_itemcollected(item: pytest.Item) -> None:
    name = item.path.relative_to(ROOT / "tests").as_posix()
    if name.startswith(INTEGRATION) and item.name.split("[")[0] not in DEFAULT.get(name, ()):
        item.add_marker("integration")
    if item.get_closest_marker("integration") or item.get_closest_marker("slow"):
        item.add_marker(pytest.mark.filterwarnings("default"), append=False)  # of libraries, in whole runs


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {
        "integration": None
        if config.getoption("--run-integration") or config.getoption("--run-slow")
        else "integration tier: run by `make test-all`",
        "slow": None if config.getoption("--run-slow") else "slow tier: run by `make test-slow`",
        "gpu": None if torch.cuda.is_available() else "gpu tier: no CUDA device on this machine",
        "weights": None
        if os.environ.get("MEDSAM_WEIGHTS")
        else "weights tier: set MEDSAM_WEIGHTS to a folder of published weights",
    }
    for item in items:
        for marker, reason in reasons.items():
            if reason is not None and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data and golden outputs beside the checkout; not part of the project."""
    if not SHARED.is_dir():
        pytest.skip("real data and goldens are not beside this checkout (../shared)")
    return SHARED


@pytest.fixture(scope="session")
def goldens(shared: Path) -> Path:
    """Reference outputs on random inputs."""
    return shared / "goldens"


@pytest.fixture(scope="session")
def shared_data(shared: Path) -> Path:
    """Small real datasets in the users' folder layout."""
    return shared / "data"


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> "Toy":
    """Eight drawn scans with one class, planned by nnU-Net."""
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")
    from tests.nnunet_toy import make_toy, phantom_cases

    return make_toy(tmp_path_factory.mktemp("toy"), phantom_cases(8), {"background": 0, "lesion": 1})
