"""Compiled encoders give what plain ones do, share their code among blocks, and are plain again afterwards."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from medsam_exp.clip.load import load_clip
from medsam_exp.clip.model import ClipModel
from medsam_exp.config.build import build
from medsam_exp.config.schema import check
from medsam_exp.engine.plan import Plan
from medsam_exp.runtime.digests import FileDigests
from medsam_exp.saliency.m2ib import M2IB
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.model import SamModel
from medsam_exp.training.compiled import compiled_encoders, repeated_blocks
from tests.compose import composed

pytestmark = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor"
)  # torch hides it, and reads it
METHOD = M2IB(layer=3, beta=0.1, steps=3, noise_samples=2)


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return load_clip("tiny").requires_grad_(False)


@pytest.fixture(scope="module")
def sam() -> SamModel:
    return load_sam("tiny").requires_grad_(False)


def answers(clip: ClipModel, sam: SamModel, device: str = "cpu") -> list[torch.Tensor]:
    """A map of M2IB, which needs gradients through the blocks, and an image's embedding."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, *clip.preprocess.size, generator=generator).to(device)
    scan = torch.rand(1, 3, 256, 256, generator=generator).to(device)
    with torch.no_grad():
        text = clip.encode_text(clip.tokenize(["a dark lesion"]).to(device))
        relevance = METHOD(clip, image, text, [torch.Generator().manual_seed(1)])
        return [relevance.cpu(), sam.encode(scan).cpu()]


def compiled_blocks(module: nn.Module) -> int:
    return sum(one._compiled_call_impl is not None for one in module.modules())


def test_compiled_encoders_give_what_plain_ones_do(clip: ClipModel, sam: SamModel) -> None:
    expected = answers(clip, sam)
    networks = nn.ModuleList([clip, sam])
    before = {name: values.clone() for name, values in networks.state_dict().items()}
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    with compiled_encoders(networks, backend="aot_eager"):
        assert compiled_blocks(networks) >= len(sam.encoder.blocks) + clip.layout.depth
        with torch.no_grad():
            clip.vision_prefix(torch.zeros(1, 3, *clip.preprocess.size), 3)
        graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        found, again = answers(clip, sam), answers(clip, sam)
    for one, other, third in zip(expected, found, again, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        assert torch.equal(other, third)
    assert 0 < graphs < len(repeated_blocks(clip.network.visual)), "blocks of one shape share their code"
    assert not compiled_blocks(networks)
    after = networks.state_dict()
    assert all(torch.equal(values, after[name]) for name, values in before.items())
    assert all(torch.equal(one, other) for one, other in zip(expected, answers(clip, sam), strict=True))


def test_encoders_are_plain_again_after_an_error(sam: SamModel) -> None:
    with pytest.raises(ZeroDivisionError), compiled_encoders(sam):
        raise ZeroDivisionError
    assert not compiled_blocks(sam)


def test_blocks_are_the_outermost_lists_of_one_class() -> None:
    def block() -> nn.Module:
        return nn.ModuleDict({"inner": nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))})

    blocks = [block() for _ in range(3)]
    network = nn.ModuleDict(
        {"stem": nn.Sequential(nn.Linear(1, 1), nn.ReLU()), "blocks": nn.ModuleList(blocks)}
    )
    assert repeated_blocks(network) == blocks


def test_a_compiled_result_has_a_key_of_its_own_and_a_training_has_not(tmp_path: Path) -> None:
    def keys(trainer: str, *chosen: str) -> dict[str, str]:
        places = (f"trainer={trainer}", "trainer.accelerator=cpu", f"paths.outputs={tmp_path}")
        cfg = composed(*chosen, "data.count=1", *places)
        check(cfg)
        dataset = build(cfg.data)
        texts = build(cfg.text).bind(dataset.samples)
        plan = Plan(cfg, list(cfg.stages), dataset, texts, FileDigests(None))
        return {name: artifacts.key for name, artifacts in plan.artifacts.items()}

    usual, gpu, compiled = (keys(trainer, "+experiment=demo") for trainer in ("cpu", "gpu", "gpu_compiled"))
    assert usual == gpu
    assert not {usual[name] for name in ("saliency", "sam_mask")} & {*compiled.values()}
    tuned = ("+experiment=phantom_finetune", "stages=[finetune_clip,saliency]")
    usual, compiled = (keys(trainer, *tuned) for trainer in ("cpu", "gpu_compiled"))
    assert usual["finetune_clip"] == compiled["finetune_clip"]
    assert usual["saliency"] != compiled["saliency"]


def test_the_trainer_predicts_with_compiled_encoders_and_leaves_them_plain(sam: SamModel) -> None:
    seen: list[int] = []

    class Asks(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = sam

        def predict_step(self, *_: object) -> None:
            seen.append(compiled_blocks(self))

    chosen = composed("trainer=gpu_compiled", "trainer.accelerator=cpu", "trainer.precision=32-true")
    trainer = build(chosen.trainer, logger=False)
    trainer.predict(Asks(), torch.utils.data.DataLoader([0]), return_predictions=False)
    assert seen == [len(repeated_blocks(sam.encoder))]
    assert not compiled_blocks(sam)


@pytest.mark.slow
def test_inductor_on_a_processor(clip: ClipModel, sam: SamModel) -> None:
    expected = answers(clip, sam)
    with compiled_encoders(nn.ModuleList([clip, sam])):
        found = answers(clip, sam)
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.gpu
def test_inductor_on_a_gpu(clip: ClipModel, sam: SamModel) -> None:
    expected = answers(clip, sam)
    networks = nn.ModuleList([clip, sam]).to("cuda")
    try:
        with compiled_encoders(networks):
            found = answers(clip, sam, "cuda")
    finally:
        networks.to("cpu")
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-2)
