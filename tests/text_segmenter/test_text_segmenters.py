"""Text-prompted segmenters against transformers' own processors, on small networks with random weights."""

import json
import re
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    CLIPSegProcessor,
    GroundingDinoProcessor,
    Owlv2Processor,
    PreTrainedModel,
    Sam3Config,
    Sam3ImageProcessor,
    Sam3Model,
    Sam3Processor,
)

from medsam_exp.saliency.dino import Dino
from medsam_exp.sam.fusion.map_agreement import MapAgreement
from medsam_exp.sam.fusion.single import SingleMask
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.promptable import PromptableModel
from medsam_exp.text_segmenter.clipseg import load_clipseg
from medsam_exp.text_segmenter.grounding_dino import load_grounding_dino
from medsam_exp.text_segmenter.meta_sam3_layout import from_meta
from medsam_exp.text_segmenter.owlv2 import load_owlv2
from medsam_exp.text_segmenter.sam3 import load_sam3
from medsam_exp.text_segmenter.segmenter import TextMask, TextSegmenter
from medsam_exp.text_segmenter.weight_files import weight_files
from medsam_exp.types import Prompts, RGBImage, UserError
from tests.sam.layouts import paired_layout
from tests.text_segmenter.small import clip_tokenizer, network_of, saved

TEXT = "a dark mass"
SIZE = (60, 90)
CHOICES = ("clipseg", "owlv2", "grounding_dino", "sam3")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {choice: saved(choice, tmp_path_factory.mktemp(choice)) for choice in CHOICES}


@pytest.fixture(scope="module")
def sam() -> PromptableModel:
    return load_sam("tiny")


@pytest.fixture(scope="module")
def segmenters(folders: dict[str, Path], sam: PromptableModel) -> dict[str, TextSegmenter]:
    return {
        "clipseg": load_clipseg(str(folders["clipseg"]), 0.5),
        "owlv2": load_owlv2(str(folders["owlv2"]), sam, SingleMask(), 0.01, 3),
        "grounding_dino": load_grounding_dino(str(folders["grounding_dino"]), sam, SingleMask(), 0.01, 3),
        "sam3": load_sam3(str(folders["sam3"]), 0.2, 0.5),
    }


def image(seed: int = 0, size: tuple[int, int] = SIZE) -> RGBImage:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


@cache
def answer_of(segmenter: TextSegmenter, *texts: str, seed: int = 0) -> TextMask:
    """The same object each time that it is asked for."""
    return segmenter.segment(segmenter.preprocess(image(seed)), texts, SIZE)


def drawn_by_sam(sam: PromptableModel, boxes: Tensor) -> Tensor:
    with torch.no_grad():
        embedding = sam.encode(sam.preprocess(image())[None])[0]
    prompts = Prompts(boxes_xyxy=boxes.numpy())
    return torch.stack([logits[0] > 0 for logits, _ in sam.decode(embedding, prompts, SIZE)]).any(0)


@torch.no_grad()
def test_clipseg_equals_its_own_processor_and_forward(segmenters: dict[str, TextSegmenter]) -> None:
    segmenter: Any = segmenters["clipseg"]
    processor = CLIPSegProcessor(segmenter._image_processor, clip_tokenizer(77))
    inputs = processor(text=[TEXT], images=[image()], return_tensors="pt", padding=True)
    logits = segmenter.network(**inputs).logits.reshape(1, 1, 64, 64)
    whole = torch.nn.functional.interpolate(logits.sigmoid(), SIZE, mode="bilinear")[0, 0]
    found = answer_of(segmenter, TEXT)
    clear = (whole - 0.5).abs() > 1e-5
    assert torch.equal(found.mask[clear], (whole > 0.5)[clear])
    assert found.mask.any()
    assert not found.mask.all()
    assert found.presence == pytest.approx(float(logits.sigmoid().max()), abs=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("choice", ["owlv2", "grounding_dino"])
def test_detectors_find_the_boxes_of_their_own_processor(
    segmenters: dict[str, TextSegmenter], sam: PromptableModel, choice: str
) -> None:
    segmenter: Any = segmenters[choice]
    if choice == "owlv2":
        processor: Any = Owlv2Processor(segmenter._image_processor, clip_tokenizer(16))
        inputs = processor(text=[[TEXT]], images=[image()], return_tensors="pt")
        outputs = segmenter.network(**inputs)
        (own,) = processor.post_process_grounded_object_detection(outputs, 0.01, target_sizes=[SIZE])
    else:
        processor = GroundingDinoProcessor(segmenter._image_processor, segmenter.tokenizer.tokenizer)
        inputs = processor(text=[f"{TEXT}."], images=[image()], return_tensors="pt")
        outputs = segmenter.network(**inputs)
        (own,) = processor.post_process_grounded_object_detection(
            outputs, inputs["input_ids"], 0.01, target_sizes=[SIZE]
        )
    best = own["scores"].argsort(descending=True, stable=True)[:3]
    limits = torch.tensor([SIZE[1], SIZE[0]] * 2)
    boxes = torch.minimum(own["boxes"][best].clamp(min=0), limits)
    found = answer_of(segmenter, TEXT)
    assert len(found.scores) == 3
    torch.testing.assert_close(torch.tensor(found.scores), own["scores"][best], atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.tensor(found.boxes_xyxy), boxes, atol=1e-3, rtol=0)
    assert torch.equal(found.mask, drawn_by_sam(sam, torch.tensor(found.boxes_xyxy)))
    assert found.presence == found.scores[0]


@torch.no_grad()
def test_sam3_equals_its_own_processor_and_forward(segmenters: dict[str, TextSegmenter]) -> None:
    segmenter: Any = segmenters["sam3"]
    processor = Sam3Processor(Sam3ImageProcessor(size={"height": 112, "width": 112}), clip_tokenizer(32))
    inputs = processor(text=[TEXT], images=[image()], return_tensors="pt")
    outputs = segmenter.network(
        pixel_values=inputs["pixel_values"],
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        input_boxes=torch.zeros(1, 1, 4),
        input_boxes_labels=torch.tensor([[-10]]),
    )
    (own,) = processor.image_processor.post_process_instance_segmentation(
        outputs, threshold=0.2, mask_threshold=0.5, target_sizes=[SIZE]
    )
    found = answer_of(segmenter, TEXT)
    assert len(found.scores) > 0
    torch.testing.assert_close(torch.tensor(found.scores), own["scores"], atol=1e-5, rtol=0)
    limits = torch.tensor([SIZE[1], SIZE[0]] * 2)
    boxes = torch.minimum(own["boxes"].clamp(min=0), limits)
    torch.testing.assert_close(torch.tensor(found.boxes_xyxy), boxes, atol=1e-3, rtol=0)
    assert (found.mask != own["masks"].bool().any(0)).sum() <= 1  # a pixel at the threshold may round
    assert found.presence == pytest.approx(float(outputs.presence_logits.sigmoid()), abs=1e-5)


@pytest.mark.parametrize("choice", CHOICES)
def test_an_answer_hangs_on_its_text_and_image_and_on_nothing_else(
    segmenters: dict[str, TextSegmenter], choice: str
) -> None:
    segmenter = segmenters[choice]
    state = torch.random.get_rng_state()
    one, other = answer_of(segmenter, TEXT), answer_of(segmenter, "bright round lesions")
    again = segmenter.segment(segmenter.preprocess(image()), [TEXT], SIZE)
    assert torch.equal(one.mask, again.mask)
    assert (one.presence, one.boxes_xyxy, one.scores) == (again.presence, again.boxes_xyxy, again.scores)
    assert one.presence != other.presence
    assert one.presence != answer_of(segmenter, TEXT, seed=1).presence
    assert one.mask.shape == SIZE
    assert one.mask.dtype == torch.bool
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("choice", CHOICES)
def test_several_texts_vote(segmenters: dict[str, TextSegmenter], choice: str) -> None:
    texts = (TEXT, "bright round lesions", "the liver")
    apart = [answer_of(segmenters[choice], text) for text in texts]
    together = answer_of(segmenters[choice], *texts)
    votes = torch.stack([each.mask for each in apart]).sum(0)
    assert torch.equal(together.mask, votes >= 2)
    assert together.presence == pytest.approx(sum(each.presence for each in apart) / 3)


def test_a_fusion_that_reads_a_saliency_map_is_refused(
    folders: dict[str, Path], sam: PromptableModel
) -> None:
    with pytest.raises(UserError, match="without a saliency map"):
        load_owlv2(str(folders["owlv2"]), sam, MapAgreement(), 0.01, 3)


def test_nothing_above_the_threshold_is_an_empty_mask(folders: dict[str, Path], sam: PromptableModel) -> None:
    detector = load_owlv2(str(folders["owlv2"]), sam, SingleMask(), 0.999, 3)
    strict = load_sam3(str(folders["sam3"]), 0.999, 0.5)
    for segmenter in (detector, strict):
        found = answer_of(segmenter, TEXT)
        assert not found.mask.any()
        assert not found.boxes_xyxy
        assert found.presence > 0


LEFT = ("points_direct_project", "points_pool_project", "points_pos_enc_project")
"""Parts of Meta's network that read points, which transformers' has not; a text needs none."""


def test_metas_names_and_shapes_become_those_of_the_full_size_network() -> None:
    with torch.device("meta"):
        own = Sam3Model(Sam3Config()).state_dict()
        metas = {name: torch.empty(shape) for name, (shape, _) in paired_layout("sam3").items()}
        found = from_meta({"detector." + name: tensor for name, tensor in metas.items()})
    assert len(metas) == 1134
    shapes = {name: tensor.shape for name, tensor in found.items() if name.split(".")[-2] not in LEFT}
    assert shapes == {name: tensor.shape for name, tensor in own.items()}


def test_metas_joint_projections_are_split_and_what_no_mask_needs_is_left() -> None:
    joint = torch.arange(12.0).reshape(12, 1)
    kinds = {
        "backbone.vision_backbone.trunk.blocks.0.attn.qkv.weight": (
            "vision_encoder.backbone.layers.0.attention.{}_proj.weight"
        ),
        "backbone.language_backbone.encoder.transformer.resblocks.0.attn.in_proj_weight": (
            "text_encoder.text_model.encoder.layers.0.self_attn.{}_proj.weight"
        ),
        "transformer.decoder.layers.0.self_attn.in_proj_weight": "detr_decoder.layers.0.self_attn.{}_proj.weight",
        "transformer.encoder.layers.0.cross_attn_image.in_proj_weight": (
            "detr_encoder.layers.0.cross_attn.{}_proj.weight"
        ),
        "segmentation_head.cross_attend_prompt.in_proj_weight": "mask_decoder.prompt_cross_attn.{}_proj.weight",
    }
    for meta, expected in kinds.items():
        found = from_meta(
            {"detector." + meta: joint, "tracker.x": joint, "detector.backbone.x.freqs_cis": joint}
        )
        assert set(found) == {expected.format(part) for part in "qkv"}
        assert torch.equal(torch.cat([found[expected.format(part)] for part in "qkv"]), joint)
    positions = torch.arange(10.0).reshape(1, 5, 2)
    projection = torch.arange(6.0).reshape(2, 3)
    found = from_meta(
        {
            "backbone.vision_backbone.trunk.pos_embed": positions,
            "backbone.language_backbone.encoder.text_projection": projection,
        }
    )
    assert torch.equal(found["vision_encoder.backbone.embeddings.position_embeddings"], positions[:, 1:])
    assert torch.equal(found["text_encoder.text_projection.weight"], projection.T)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_folder_without_some_weights_is_refused_by_name(
    choice: str, tmp_path: Path, folders: dict[str, Path], sam: PromptableModel
) -> None:
    network: PreTrainedModel = network_of(choice)
    state = {name: tensor.clone().contiguous() for name, tensor in network.state_dict().items()}
    gone = next(name for name in state if name.endswith("weight"))
    del state[gone]
    for path in folders[choice].iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    load = {
        "clipseg": lambda folder: load_clipseg(folder, 0.5),
        "sam3": lambda folder: load_sam3(folder, 0.3, 0.5),
        "owlv2": lambda folder: load_owlv2(folder, sam, SingleMask(), 0.1, 1),
        "grounding_dino": lambda folder: load_grounding_dino(folder, sam, SingleMask(), 0.1, 1),
    }[choice]
    with pytest.raises(UserError, match="1 weights are missing or of another shape"):
        load(str(tmp_path))


def changed(folder: Path, target: Path, name: str, **values: object) -> str:
    """A copy of a folder in which a JSON file says something else."""
    shutil.copytree(folder, target)
    content = json.loads((target / name).read_text())
    (target / name).write_text(json.dumps(content | values))
    return str(target)


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        (
            "config.json",
            {"initializer_layers": [1, 10**9]},
            "initializer_layers=1000000000, more than 1,000, which",
        ),
        (
            "config.json",
            {"reduce_dim": 10**9},
            "reduce_dim=1000000000, more than 10,000,000, which no network has",
        ),
        (
            "config.json",
            {"reduce_dim": True},
            "does not load as CLIPSegForImageSegmentation (Validation error",
        ),
        (
            "config.json",
            {"text_config": {"eos_token_id": [1]}},
            "says eos_token_id=[1], but it must be a whole",
        ),
        (
            "preprocessor_config.json",
            {"size": {"a": "b"}},
            "lacks the files of AutoImageProcessor (size must have",
        ),
        (
            "preprocessor_config.json",
            {"image_mean": ["x"] * 3},
            "/folder has a preprocessor_config.json that prepares no image",
        ),
    ],
)
def test_a_folder_with_senseless_values_is_refused(
    name: str, values: dict[str, object], said: str, tmp_path: Path, folders: dict[str, Path]
) -> None:
    folder = changed(folders["clipseg"], tmp_path / "folder", name, **values)
    with pytest.raises(UserError, match=re.escape(said)):
        load_clipseg(folder, 0.5).preprocess(image())


def test_an_image_without_room_in_memory_is_no_fault_of_the_folder(
    monkeypatch: pytest.MonkeyPatch, folders: dict[str, Path]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    segmenter = load_clipseg(str(folders["clipseg"]), 0.5)
    monkeypatch.setattr(segmenter, "_image_processor", full)
    with pytest.raises(MemoryError):
        segmenter.preprocess(image())


def test_a_tokenizer_of_more_words_than_the_network_knows_is_refused(
    tmp_path: Path, folders: dict[str, Path], sam: PromptableModel
) -> None:
    folder = changed(folders["grounding_dino"], tmp_path / "folder", "tokenizer_config.json")
    path = Path(folder) / "tokenizer.json"
    path.write_text(path.read_text().replace('"mass": 8', '"mass": 800'))
    with pytest.raises(UserError, match=r"has a tokenizer of more words than the 18 of its network"):
        load_grounding_dino(folder, sam, SingleMask(), 0.1, 1)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "tokenizer_config.json"])
def test_code_beside_a_network_is_never_offered_to_run(
    name: str, tmp_path: Path, folders: dict[str, Path], sam: PromptableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers asks on the terminal whether it may, unless it is told that it may not."""
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda said: asked.append(said) or "y")
    code = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\nclass A: pass\n"
    classes = ("AutoConfig", "AutoModel", "AutoTokenizer", "AutoImageProcessor")
    values = {"auto_map": dict.fromkeys(classes, "evil.A"), "model_type": "a", "tokenizer_class": "A"}
    folder = changed(folders["grounding_dino"], tmp_path / "folder", name, **values)
    (Path(folder) / "evil.py").write_text(code)
    with suppress(UserError):
        load_grounding_dino(folder, sam, SingleMask(), 0.1, 1)
    with suppress(UserError):
        Dino(folder)(torch.zeros(1, 3, 28, 28), (2, 2))
    assert asked == []
    assert not (Path(folder) / "ran").exists()


def test_what_decides_the_masks_is_named(folders: dict[str, Path], tmp_path: Path) -> None:
    names = {path.name for path in weight_files(str(folders["grounding_dino"]))}
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"} <= names
    node = {"_target_": "medsam_exp.sam.load.load_sam", "architecture": "tiny", "checkpoint": None}
    assert weight_files(str(folders["owlv2"]), sam=node)[-1].name == "tiny_sam.safetensors"
    with pytest.raises(UserError, match=r"text_segmenter\.model=.*absent is neither a folder nor a file"):
        weight_files(str(tmp_path / "absent"))
    with pytest.raises(UserError, match=r"has no config\.json"):
        weight_files(str(tmp_path))


def test_sam3_file_of_another_network_is_refused(tmp_path: Path) -> None:
    save_file({"a.weight": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(
        UserError, match=r"text_segmenter\.model=.*does not fit SAM 3: 1468 weights are missing"
    ):
        load_sam3(str(tmp_path / "a.safetensors"), 0.3, 0.5)
