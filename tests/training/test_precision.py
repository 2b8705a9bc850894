"""True precisions are the encoders' own; what lies around them stays in float32, and weights come back as they were."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from transformers import BertConfig

from medsam_exp.cli.runner import run
from medsam_exp.clip.load import load_clip
from medsam_exp.clip.model import ClipModel
from medsam_exp.config.schema import check
from medsam_exp.data.phantom.dataset import PhantomDataset
from medsam_exp.metrics.overlap import iou
from medsam_exp.saliency.gradient_rollout import GradientRollout
from medsam_exp.saliency.m2ib import M2IB
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.model import SamModel
from medsam_exp.training.precision import encoders_in, network_dtype
from medsam_exp.types import Prompts, UserError
from tests.compose import composed

TRUE = ["bf16-true", "16-true", "64-true"]


@pytest.fixture(scope="module")
def clip() -> ClipModel:
    return load_clip("tiny")


@pytest.fixture(scope="module")
def sam() -> SamModel:
    return load_sam("tiny")


def likeness(one: torch.Tensor, other: torch.Tensor) -> float:
    return float(np.corrcoef(one.detach().double().flatten(), other.detach().double().flatten())[0, 1])


@pytest.mark.parametrize("precision", TRUE)
def test_clip_computes_in_the_precision_and_comes_back(clip: ClipModel, precision: str) -> None:
    dtype = network_dtype(precision)
    before = {name: values.clone() for name, values in clip.state_dict().items()}
    buffers = {name: values.clone() for name, values in clip.named_buffers()}
    images = torch.rand(1, 3, *clip.preprocess.size, generator=torch.Generator().manual_seed(0))
    text = clip.encode_text(clip.tokenize(["a dark lesion"])).detach()
    plain = clip.encode_image(images), GradientRollout()(clip, images, text, [torch.Generator()])
    with encoders_in(torch.nn.ModuleList([clip]), precision):
        found = clip.encode_image(images), GradientRollout()(clip, images, text, [torch.Generator()])
        assert found[0].dtype == clip.encode_text(clip.tokenize(["x"])).dtype == dtype
        assert found[1].dtype == clip.logit_scale.dtype == torch.float32
        clip.network._apply(torch.clone)  # as moving to another device does
    for one, other in zip(plain, found, strict=True):
        assert likeness(one, other) > 0.9
    assert not torch.equal(plain[0].double(), found[0].double())
    for name, values in clip.state_dict().items():
        assert values.dtype == before[name].dtype
        assert torch.equal(values, before[name]), name
    for name, values in clip.named_buffers():
        assert values.dtype == buffers[name].dtype, name


def test_sams_weights_converted_once_give_autocasts_numbers(sam: SamModel) -> None:
    inputs = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        expected = sam.encode(inputs)
        with encoders_in(sam, "bf16-mixed"):
            assert torch.equal(sam.encode(inputs), expected)


@pytest.mark.parametrize("precision", TRUE)
def test_sams_decoder_stays_in_float32(sam: SamModel, precision: str) -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)
    prompts = Prompts(boxes_xyxy=np.array([[10, 20, 50, 41]], np.float32))
    inputs = sam.preprocess(image)[None]
    before = {name: values.clone() for name, values in sam.state_dict().items()}
    ((logits, _),) = sam.decode(sam.encode(inputs)[0], prompts, (60, 80))
    with encoders_in(sam, precision):
        embedding = sam.encode(inputs)
        assert embedding.dtype == network_dtype(precision)
        assert {values.dtype for values in sam.prompt_encoder.state_dict().values()} == {torch.float32}
        ((found, _),) = sam.decode(embedding[0], prompts, (60, 80))
    assert found.dtype == torch.float32
    assert likeness(logits, found) > 0.99
    assert all(torch.equal(values, before[name]) for name, values in sam.state_dict().items())


VISION: dict[str, dict[str, Any]] = {
    "open_clip": {"image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2},
    "timm": {"timm_model_name": "test_vit", "timm_pool": "", "image_size": 64},
    "resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
}
TEXT: dict[str, Any] = {"context_length": 8, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1}


def small_clip(vision: str, text: str, folder: Path) -> ClipModel:
    """Random weights; the text tower is open_clip's own or a BERT."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertConfig(**sizes).save_pretrained(folder)
    bert = {"hf_model_name": str(folder), "hf_model_pretrained": False, "hf_proj_type": "mlp"}
    model_cfg = {
        "embed_dim": 24,
        "vision_cfg": VISION[vision],
        "text_cfg": TEXT
        if text == "open_clip"
        else bert | {"hf_pooler_type": "cls_last_hidden_state_pooler"},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = (open_clip.CLIP if text == "open_clip" else open_clip.CustomTextCLIP)(**model_cfg).eval()
    return ClipModel(network, torch.tensor, model_cfg, mean=[0.5] * 3, std=[0.2] * 3, saliency_layer=0)


@pytest.mark.parametrize(
    ("vision", "text"),
    [("open_clip", "open_clip"), ("timm", "bert"), ("timm", "open_clip"), ("resnet", "bert")],
)
def test_weights_converted_once_give_autocasts_numbers(vision: str, text: str, tmp_path: Path) -> None:
    clip = small_clip(vision, text, tmp_path)
    before = {name: values.clone() for name, values in clip.state_dict().items()}
    images = torch.rand(1, 3, *clip.preprocess.size, generator=torch.Generator().manual_seed(0))
    tokens = torch.arange(1, 9)[None]

    def answers() -> list[torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            return [clip.encode_image(images), clip.encode_text(tokens)]

    expected = answers()
    with encoders_in(torch.nn.ModuleList([clip]), "bf16-mixed"):
        assert torch.bfloat16 in {values.dtype for values in clip.state_dict().values()}
        found = answers()
    assert all(map(torch.equal, found, expected))
    for name, values in clip.state_dict().items():
        assert values.dtype == before[name].dtype
        assert torch.equal(values, before[name]), name


def test_mixed_bfloat16_keeps_the_embedded_networks_maps_and_masks(clip: ClipModel, sam: SamModel) -> None:
    scans = PhantomDataset(seed=5, count=3)
    method = M2IB(layer=3, beta=0.1, steps=6, noise_samples=4)
    for sample in scans.samples:
        image = scans.read_image(sample.id)
        boxes = np.array([[40, 50, 120, 110]], np.float32)
        maps, masks = [], []
        for precision in ("32-true", "bf16-mixed"):
            low = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed")
            with encoders_in(torch.nn.ModuleList([clip, sam]), precision), torch.no_grad(), low:
                text = clip.encode_text(clip.tokenize([sample.description]))
                pixels = clip.preprocess(image)[None]
                maps.append(method(clip, pixels, text, [torch.Generator().manual_seed(0)]))
                embedding = sam.encode(sam.preprocess(image)[None])[0]
                ((logits, _),) = sam.decode(embedding, Prompts(boxes_xyxy=boxes), image.shape[:2])
                masks.append((logits > 0).numpy())
        assert not torch.equal(*maps)
        assert likeness(*maps) > 0.99
        assert iou(*masks) > 0.98


def test_tensor_float_32_is_allowed_where_it_is_asked_for_alone(sam: SamModel) -> None:
    def allowed() -> tuple[str, bool]:
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = allowed()
    for precision, expected in (("tf32", ("high", True)), ("32-true", ("highest", False))):
        with encoders_in(sam, precision):
            assert allowed() == expected
        assert allowed() == before


@pytest.mark.gpu
def test_tensor_float_32_changes_a_gpus_numbers_little(sam: SamModel) -> None:
    moved = copy.deepcopy(sam).cuda()
    images = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = sam.encode(images)
        with encoders_in(moved, "tf32"):
            low = moved.encode(images.cuda()).cpu()
        with encoders_in(moved, "32-true"):
            full = moved.encode(images.cuda()).cpu()
    assert (full - expected).abs().max() < (low - expected).abs().max()
    assert likeness(low, expected) > 0.999


@pytest.mark.parametrize("precision", ["32-true", "32", "bf16-mixed", "16-mixed", None])
def test_other_precisions_are_lightnings(precision: str | None) -> None:
    assert network_dtype(precision) is None


def test_trainings_refuse_true_precisions() -> None:
    trainings = ("experiment=phantom_finetune", "experiment=tiny_sam", "experiment=phantom_weak")
    for chosen, precision in zip(trainings, ("bf16-true", "tf32", "bf16-true"), strict=True):
        with pytest.raises(UserError, match=rf"trainer\.precision={precision} .*32-true, bf16-mixed"):
            check(composed(f"+{chosen}", f"trainer.precision={precision}"))


def test_a_run_in_a_true_precision(tmp_path: Path) -> None:
    keys = set()
    for precision in ("bf16-true", "tf32", "32-true"):
        given = (
            "+experiment=demo",
            "tuned/network=none",
            "data.count=1",
            "saliency=gradcam",
            f"paths.outputs={tmp_path}",
        )
        cfg = composed(*given, f"trainer.precision={precision}")
        folder = tmp_path / precision
        folder.mkdir()
        run(cfg, folder, {}, list(given))
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["metrics"]["sam/dsc"]["mean"] >= 0
        keys.add(summary["keys"]["saliency"])
    assert len(keys) == 3, "precision is part of a result's key"
