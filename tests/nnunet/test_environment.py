"""nnU-Net's pools in this process: no other process starts, results and errors are the same, all is put back."""

import json
import multiprocessing
import os
import threading
from importlib import import_module
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path

import pytest

from medsam_exp.nnunet import environment
from medsam_exp.nnunet.environment import in_process_pools
from medsam_exp.types import UserError
from tests.nnunet.cases import gray_case

MODULES = environment._SPAWNING_MODULES


@pytest.fixture
def _nnunet() -> None:
    pytest.importorskip("nnunetv2", reason="nnunetv2 is not installed (make setup)")


def _pool(module: str) -> Pool:
    return import_module(module).multiprocessing.get_context("spawn").Pool(8)


@pytest.mark.usefixtures("_nnunet")
def test_work_happens_in_one_thread_of_this_process() -> None:
    with in_process_pools(0):
        for module in MODULES:
            with _pool(module) as pool:
                assert isinstance(pool, ThreadPool)
                assert len(pool._pool) == 1
                assert all(worker.is_alive() for worker in pool._pool)
                assert set(pool.map(lambda _: os.getpid(), range(9))) == {os.getpid()}
        utilities = import_module("nnunetv2.utilities.utils")
        with utilities.Pool(processes=12) as pool:
            assert pool.starmap(lambda a, b: a + b, [(1, 2)]) == [3]
    assert threading.active_count() < 9


@pytest.mark.usefixtures("_nnunet")
def test_everything_is_put_back_also_after_an_error_and_inside_one_another() -> None:
    def now() -> list[object]:
        return [import_module(module).multiprocessing for module in MODULES] + [
            import_module("nnunetv2.utilities.utils").Pool
        ]

    before = now()
    assert before[:3] == [multiprocessing] * 3
    with pytest.raises(RuntimeError, match="stop"), in_process_pools(0):
        raise RuntimeError("stop")
    assert now() == before
    with in_process_pools(0):
        within = now()
        with in_process_pools(2):
            assert now() != within
        assert now() == within
    assert now() == before


@pytest.mark.usefixtures("_nnunet")
def test_a_faulty_case_ends_the_step_with_its_error(nnunet_environment: Path, write) -> None:
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
        DatasetFingerprintExtractor,
    )

    dataset = write([gray_case("a"), gray_case("b", 1)])
    name = next(iter(dataset.case_ids))
    dataset.label_file(name).write_bytes(b"no image")
    with in_process_pools(0), pytest.raises(Exception, match=name):
        DatasetFingerprintExtractor(1).run()


def test_without_nnunet_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medsam_exp.runtime.extras.find_spec", lambda _: None)
    with (
        pytest.raises(UserError, match=r"needs the package nnunetv2.*pip install 'medsam-exp\[nnunet\]'"),
        in_process_pools(0),
    ):
        pass


@pytest.mark.slow
@pytest.mark.usefixtures("_nnunet")
def test_real_processes_give_the_same_fingerprint(nnunet_environment: Path, write) -> None:
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
        DatasetFingerprintExtractor,
    )

    write([gray_case(f"scan {seed}", seed) for seed in range(4)])
    found = []
    for processes in (0, 2):
        with in_process_pools(processes):
            found.append(json.dumps(DatasetFingerprintExtractor(1).run(overwrite_existing=True)))
    assert found[0] == found[1]
