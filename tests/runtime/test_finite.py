"""A network whose weights or results are not finite stops the run and is named; nothing becomes an empty mask."""

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from medsam_exp.clip.folder import PACKAGED
from medsam_exp.clip.load import load_clip, save_clip
from medsam_exp.config.schema import check
from medsam_exp.masks.presence.calibrated import PACKAGED as CALIBRATION
from medsam_exp.masks.presence.calibration import read_calibration
from medsam_exp.runtime.finite import all_finite, broken_weights, first_broken_module
from medsam_exp.runtime.json_text import json_text
from medsam_exp.sam.fusion.single import SingleMask
from medsam_exp.sam.load import load_sam, save_sam
from medsam_exp.sam.weight_files import TINY_WEIGHTS
from medsam_exp.training.embeddings import TextEmbeddings
from medsam_exp.training.faithfulness import Faithfulness
from medsam_exp.training.prediction import EmbeddingBatch, ImageBatch, PredictModule
from medsam_exp.training.presence import PresenceFeatures
from medsam_exp.training.saliency import ImageSaliency
from medsam_exp.training.sam_inference import sam_answers, sam_embeddings
from medsam_exp.training.text_saliency import TextSaliency
from medsam_exp.types import Prompts, UserError
from tests.compose import composed

BAD = [math.nan, math.inf, -math.inf]
IDS = ("a", "b", "c")
TEXTS = dict.fromkeys(IDS, ("a dark lesion",))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_one_value_among_many(bad: float, dtype: torch.dtype) -> None:
    values = torch.zeros(3, 4, dtype=dtype)
    assert all_finite(values)
    values[1, 2] = bad
    assert not all_finite(values)
    whole = {"first": torch.ones(2), "second": values, "third": torch.arange(3), "fourth": torch.zeros(0)}
    assert broken_weights(whole) == ["second"]


def broken_copy(source: Path, target: Path, tensor: str, bad: float) -> Path:
    weights = load_file(source)
    weights[tensor].view(-1)[1] = bad
    save_file(weights, target, metadata={"format": "pt"})
    return target


@pytest.mark.parametrize("bad", BAD)
def test_a_clip_with_one_bad_weight_names_network_file_and_tensor(tmp_path: Path, bad: float) -> None:
    folder = tmp_path / "clip"
    shutil.copytree(PACKAGED["tiny"], folder)
    tensor = "visual.trunk.blocks.1.mlp.fc1.weight"
    path = broken_copy(
        PACKAGED["tiny"] / "open_clip_model.safetensors", tmp_path / "bad.safetensors", tensor, bad
    )
    with pytest.raises(
        UserError, match=rf"clip\.model=tiny in .*bad\.safetensors.* 1 of \d+ .*first is {tensor}"
    ):
        load_clip("tiny", str(path))
    path.rename(folder / "open_clip_model.safetensors")
    with pytest.raises(UserError, match=rf"clip\.model=.*open_clip_model\.safetensors.*first is {tensor}"):
        load_clip(str(folder))


def test_a_sam_with_one_bad_weight_names_network_file_and_tensor(tmp_path: Path) -> None:
    tensor = "mask_decoder.iou_prediction_head.layers.2.bias"
    path = broken_copy(TINY_WEIGHTS, tmp_path / "bad.safetensors", tensor, math.nan)
    with pytest.raises(UserError, match=rf"sam\.architecture=tiny in {path}.*first is {tensor}"):
        load_sam("tiny", str(path))


def test_weights_too_large_for_the_file_are_not_written(tmp_path: Path) -> None:
    sam, clip = load_sam("tiny"), load_clip("tiny")
    with torch.no_grad():
        sam.image_encoder.neck[0].weight[0] = 1e6
        clip.network.visual.trunk.norm.weight[0] = 1e6
    with pytest.raises(UserError, match=r"too large for torch\.float16.*image_encoder\.neck\.0\.weight"):
        save_sam(sam, tmp_path / "sam.safetensors")
    with pytest.raises(UserError, match=r"too large for torch\.float16.*visual\.trunk\.norm\.weight"):
        save_clip(clip, tmp_path / "clip")
    assert not [*tmp_path.rglob("*.safetensors")]


@pytest.mark.parametrize(
    ("name", "value"), [("mean", math.nan), ("scale", 0.0), ("weights", math.inf), ("intercept", math.nan)]
)
def test_a_calibration_with_one_bad_number(tmp_path: Path, name: str, value: float) -> None:
    content = json.loads(CALIBRATION.read_text())
    content[name] = value if name == "intercept" else [value, *content[name][1:]]
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"calibration.json: {name} is .*must be finite"):
        read_calibration(path)
    content[name] = "much" if name == "intercept" else content[name][1:]
    path.write_text(json.dumps(content))
    wrong = "'much'" if name == "intercept" else ".*one number for each feature"
    with pytest.raises(UserError, match=f"calibration.json: {name} is {wrong}"):
        read_calibration(path)


class Overflow(torch.nn.Module):
    """A CLIP with finite weights whose embedding of a bright image is not finite."""

    def __init__(self, bad_text: bool = False) -> None:
        super().__init__()
        self.vision = torch.nn.Sequential(torch.nn.Linear(12, 4), torch.nn.Identity())
        self.logit_scale = torch.nn.Parameter(torch.tensor(1.0))
        self.bad_text = bad_text
        torch.nn.init.constant_(self.vision[0].weight, 3e38)

    def tokenize(self, texts: list[str]) -> torch.Tensor:
        return torch.zeros(len(texts), 3, dtype=torch.int64)

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        return self.vision(images.flatten(1))

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.full((len(tokens), 4), math.nan if self.bad_text else 1.0)


def batch(bad: str = "b") -> ImageBatch:
    images = torch.zeros(4, 3, 2, 2)
    images[IDS.index(bad)] = 1.0
    return ImageBatch(IDS, ((2, 2),) * 3, images)


def test_a_relevance_that_is_not_finite_is_named_and_the_others_are_kept() -> None:
    class Method:
        def geometry(self, _: Any) -> Any:
            from medsam_exp.saliency.geometry import Squash

            return Squash(lambda image: torch.from_numpy(image))

        def __call__(self, clip: Any, images: torch.Tensor, *_: Any) -> torch.Tensor:
            return clip.encode_image(images)[:, :, None] * 0 + torch.arange(4.0).reshape(1, 2, 2).repeat(
                4, 2, 1
            )

    saved: dict[str, Any] = {}
    clip: Any = Overflow()
    answers = ImageSaliency(clip, Method(), {"text": TEXTS}, 0)  # type: ignore[arg-type]
    module = PredictModule(clip, answers, saved.__setitem__)
    with pytest.raises(
        UserError, match=r"CLIP gave the relevance of 'b'.*first in vision\.0.*precision=32-true"
    ):
        module.predict_step(batch())
    assert sorted(saved) == ["a", "c"]
    assert all(
        np.isfinite(one["text"].saliency_map).all() and one["text"].saliency_map.any()
        for one in saved.values()
    )


def test_the_first_module_that_breaks_is_found() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    assert first_broken_module(network, lambda: network(torch.ones(1, 2))) == ""
    torch.nn.init.constant_(network[1].bias, math.inf)
    assert first_broken_module(network, lambda: network(torch.ones(1, 2))) == "1"
    assert not any(module._forward_hooks for module in network)


def test_embeddings_that_are_not_finite_are_named() -> None:
    scorer: Any = SimpleNamespace(absence_texts=("nothing",), nonsense_texts=("a teapot",))
    flat = np.ones((2, 2), np.float32)
    clip: Any = Overflow()
    all_answers: list[Any] = [
        PresenceFeatures(clip, scorer, {name: {"text": TEXTS[name]} for name in IDS}, lambda *_: flat),
        Faithfulness(clip, TEXTS, lambda _: flat),
        TextSaliency(clip, lambda *_: torch.zeros(1), TEXTS, 0),
    ]
    for answers in all_answers:
        with pytest.raises(UserError, match=r"CLIP gave the embedding of 'c' .*first in vision\.0"):
            list(answers(batch("c")))
    with pytest.raises(UserError, match="the embedding of the text 'a dark lesion'"):
        TextEmbeddings(Overflow(bad_text=True)).mean_of(TEXTS["a"], torch.device("cpu"))


def test_presence_features_that_are_not_finite_are_named() -> None:
    clip = Overflow()
    clip.logit_scale.data.fill_(1e4)  # finite, but its exponential is not
    torch.nn.init.constant_(clip.vision[0].weight, 0.1)
    scorer: Any = SimpleNamespace(absence_texts=("nothing",), nonsense_texts=("a teapot",))
    texts = {name: {"text": TEXTS[name]} for name in IDS}
    flat = np.ones((2, 2), np.float32)
    with pytest.raises(UserError, match=r"presence features of 'a' .*share"):
        next(PresenceFeatures(clip, scorer, texts, lambda *_: flat)(batch()))


@pytest.fixture(scope="module")
def sam() -> Any:
    return load_sam("tiny")


def test_what_sam_gives_is_looked_at(sam: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = dict.fromkeys(IDS, Prompts(boxes_xyxy=np.array([[2, 2, 9, 9]], np.float32)))
    size = sam.image_size
    images = torch.zeros(2, 3, size, size)
    images[1] = math.inf
    two = ImageBatch(("a", "b"), ((20, 30),) * 2, images)
    for answers in (
        sam_embeddings(sam, two),
        sam_answers(sam, lambda _: SingleMask(), prompts.__getitem__, two),
    ):
        with pytest.raises(UserError, match=r"SAM gave the image embedding of 'b'.*first in image_encoder"):
            next(answers)
    good = torch.zeros(128, 16, 16)
    real = sam.decode_low_res
    for place in (0, 1):
        calls: list[int] = []

        def decode(*given: Any, place: int = place, calls: list[int] = calls, **named: Any) -> Any:
            found = list(real(*given, **named))
            calls.append(1)
            if len(calls) == 2:
                found[place] = found[place] * math.nan
            return tuple(found)

        monkeypatch.setattr(sam, "decode_low_res", decode)
        answers = sam_answers(
            sam,
            lambda _: SingleMask(),
            prompts.__getitem__,
            EmbeddingBatch(IDS, ((20, 30),) * 3, (good,) * 3),
        )
        assert next(answers)[0] == "a", "what comes before is given"
        with pytest.raises(
            UserError, match=r"SAM gave a mask of 'b', or its expected IoU,.*trainer\.precision"
        ):
            next(answers)


@pytest.mark.parametrize("override", ["saliency.beta=nan", "saliency.lr=inf"])
def test_a_number_that_is_not_finite_is_refused_in_the_configuration(override: str) -> None:
    with pytest.raises(UserError, match=override.partition("=")[0].replace(".", r"\.")):
        check(composed("data=phantom", "text=description", override))


def test_json_has_no_nan() -> None:
    content = {
        "a": [1.5, math.nan, (math.inf, {"b": -math.inf})],
        "c": np.float64("nan"),
        "d": None,
        3: "NaN",
    }
    assert json_text(content) == '{"a": [1.5, null, [null, {"b": null}]], "c": null, "d": null, "3": "NaN"}'
    plain = {"x": [0.1, 1, True, "e"], "y": {"z": 1e300}}
    assert json_text(plain, indent=1, sort_keys=True) == json.dumps(plain, indent=1, sort_keys=True)
