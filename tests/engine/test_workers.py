"""What stages store does not depend on the number of threads and processes that computed it."""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch.distributed as dist
from PIL import Image

from medsam_exp.config.build import build
from medsam_exp.config.schema import check
from medsam_exp.engine.engine import Engine
from medsam_exp.engine.plan import Plan
from medsam_exp.masks.postprocess.otsu import Otsu
from medsam_exp.runtime import distributed
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.saliency.intensity import Intensity
from medsam_exp.types import UserError
from tests.compose import composed
from tests.stored import stored, stored_ids

STAGES = ("saliency", "presence", "coarse_mask", "sam_mask", "evaluate")
IMAGES = 7


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright squares in the dark, of several sizes; the last image is black, so that its masks are empty."""
    root = tmp_path_factory.mktemp("images")
    for folder in ("test_images", "test_masks"):
        (root / folder).mkdir()
    for number in range(IMAGES):
        truth = np.zeros((30 + 3 * number, 44), np.uint8)
        truth[8:20, 5 + number : 25] = 255
        pixels = np.random.default_rng(number).integers(0, 60, truth.shape, np.uint8) + truth // 2
        Image.fromarray(pixels * (number < IMAGES - 1)).save(root / "test_images" / f"s{number}.png")
        Image.fromarray(truth).save(root / "test_masks" / f"s{number}.png")
    return root


def engine(images: Path, outputs: Path, workers: object, *stages: str) -> Engine:
    small = ("clip=tiny_random", "sam=tiny_scratch", "saliency=intensity", "postprocess=otsu")
    cfg = check(
        composed(
            *small,
            "data=folder",
            f"data.root={images}",
            "text=free",
            "text.text=a square",
            f"stages=[{','.join(stages)}]",
            "batch_size={saliency: 2, presence: 3, sam_mask: 2}",
            f"workers={workers}",
            f"paths.outputs={outputs}",
        )
    )
    dataset = build(cfg.data)
    texts = build(cfg.text).bind(dataset.samples)
    return Engine(Plan(cfg, list(stages), dataset, texts, FileDigests()), quiet=True)


def run(made: Engine) -> None:
    for stage in made.artifacts:
        made.run(stage)


Records = dict[str, tuple[dict[str, Any], bytes]]


def records(outputs: Path, stage: str) -> Records:
    """What a stage stored of each sample: its facts, and its grid or mask."""
    (folder,) = (path for path in (outputs / "artifacts" / stage).iterdir() if path.is_dir())
    artifacts = stored(folder)
    read: dict[str, Callable[[str], bytes]] = {"saliency": lambda name: artifacts.features(name).tobytes()}
    read |= dict.fromkeys(("coarse_mask", "sam_mask"), artifacts.mask_png)
    content = read.get(stage, lambda _: b"")
    return {name: (artifacts.info(name), content(name)) for name in stored_ids(folder)}


def all_records(outputs: Path) -> dict[str, Records]:
    return {stage: records(outputs, stage) for stage in STAGES}


@pytest.fixture(scope="module")
def in_one_thread(images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Records]:
    outputs = tmp_path_factory.mktemp("alone")
    run(engine(images, outputs, 0, *STAGES))
    return all_records(outputs)


@pytest.mark.parametrize("workers", [1, 4, "auto"])
def test_threads_change_no_byte(
    images: Path, tmp_path: Path, in_one_thread: dict[str, Records], workers: object
) -> None:
    run(engine(images, tmp_path, workers, *STAGES))
    assert all_records(tmp_path) == in_one_thread


def _raise_at(error: BaseException, number: int, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, which raises when it is called for the image that has this number's height."""

    def called(self: Any, first: Any, *others: Any) -> Any:
        if first.shape[0] == 30 + 3 * number:
            raise error
        return method(self, first, *others)

    return called


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_what_was_computed_before_an_error_is_stored_and_nothing_after_it(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.setattr(Otsu, "__call__", _raise_at(UserError("no mask"), 3, Otsu.__call__))
    made = engine(images, tmp_path, workers, "saliency", "coarse_mask")
    with pytest.raises(UserError, match="no mask"):
        run(made)
    assert made.artifacts["coarse_mask"].pending(made.sample_ids) == made.sample_ids[3:]


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("error", [UserError("a broken network"), KeyboardInterrupt()], ids=type)
def test_a_network_that_ends_leaves_the_answers_before_it(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_one_thread: dict[str, Records],
    workers: int,
    error: BaseException,
) -> None:
    calls: list[None] = []
    answer = Intensity.__call__

    def ends_at_the_third(*given: Any) -> Any:
        calls.append(None)
        if len(calls) == 3:
            raise error
        return answer(*given)

    monkeypatch.setattr(Intensity, "__call__", ends_at_the_third)
    made = engine(images, tmp_path, workers, *STAGES)
    with pytest.raises((UserError, KeyboardInterrupt, SystemExit)):
        made.run("saliency")
    stored = IMAGES - len(made.artifacts["saliency"].pending(made.sample_ids))
    assert made.artifacts["saliency"].pending(made.sample_ids) == made.sample_ids[stored:]
    assert stored == 4 if isinstance(error, UserError) or not workers else stored <= 4
    monkeypatch.undo()
    run(made)
    assert all_records(tmp_path) == in_one_thread


def _as_member(images: Path, outputs: Path, rank: int) -> None:
    dist.init_process_group("gloo", init_method=f"file://{outputs}/meeting", rank=rank, world_size=2)
    made = engine(images, outputs, 1, "saliency", "coarse_mask")
    computed: list[str] = []
    save = made.artifacts["coarse_mask"].save

    def noted(sample_id: str, *others: Any) -> None:
        computed.append(sample_id)
        save(sample_id, *others)

    made.artifacts["coarse_mask"].save = noted  # type: ignore[method-assign]
    made.run("coarse_mask")
    assert tuple(computed) == made.sample_ids[rank::2]
    distributed.barrier()
    dist.destroy_process_group()


def test_two_processes_share_the_coarse_masks_of_one(
    images: Path, tmp_path: Path, in_one_thread: dict[str, Records]
) -> None:
    run(engine(images, tmp_path, 0, "saliency"))
    context = multiprocessing.get_context("fork")
    members = [context.Process(target=_as_member, args=(images, tmp_path, rank)) for rank in range(2)]
    for member in members:
        member.start()
    for member in members:
        member.join(timeout=120)
        member.kill()
    assert [member.exitcode for member in members] == [0, 0]
    assert records(tmp_path, "coarse_mask") == in_one_thread["coarse_mask"]
