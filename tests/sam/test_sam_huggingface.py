"""transformers' SamModel under segment-anything's names computes what transformers itself does."""

from pathlib import Path

import pytest
import torch
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

from medsam_exp.sam.huggingface_layout import is_huggingface
from medsam_exp.sam.load import load_sam
from medsam_exp.types import UserError

Files = tuple[SamModel, Path]


def transformers_sam(vision: dict, prompt: dict, decoder: dict) -> SamModel:
    """Random weights, each of its own; layer norms and biases, which start alike, too."""
    config = SamConfig(
        vision_config=SamVisionConfig(**vision),
        prompt_encoder_config=SamPromptEncoderConfig(**prompt),
        mask_decoder_config=SamMaskDecoderConfig(**decoder),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = SamModel(config).eval()
        for name, parameter in model.named_parameters():
            spread = 0.02 if "vision_encoder" in name and parameter.ndim > 1 else 0.1
            parameter.data.add_(torch.randn_like(parameter), alpha=spread)
    return model


def tiny_with(epsilon: float) -> SamModel:
    """In the sizes of the embedded small SAM."""
    return transformers_sam(
        {
            "hidden_size": 160, "output_channels": 128, "num_hidden_layers": 6, "num_attention_heads": 5,
            "image_size": 256, "window_size": 8, "global_attn_indexes": [2, 5], "num_pos_feats": 64,
        },
        {"hidden_size": 128, "image_size": 256},
        {"hidden_size": 128, "mlp_dim": 512, "num_attention_heads": 4, "iou_head_hidden_dim": 128,
         "layer_norm_eps": epsilon},
    )  # fmt: skip


@pytest.fixture(scope="module")
def tiny() -> SamModel:
    """With the epsilon of segment-anything's two-way transformer, which is PyTorch's."""
    return tiny_with(1e-5)


def assert_computes_the_same(reference: SamModel, ours, near: float) -> None:
    side = ours.image_size
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(1, 3, side, side, generator=generator)
    box, point = torch.tensor([[9.0, 20, 99, 111]]), torch.tensor([[[40.0, 60]]])
    labels = torch.ones(1, 1, dtype=torch.long)
    with torch.no_grad():
        embedding = ours.encode(images)
        expected = reference.get_image_embeddings(images)
        torch.testing.assert_close(embedding, expected, rtol=near, atol=near)
        assert expected.std() > 0.1
        for multimask in (False, True):
            logits, iou = ours.decode_low_res(embedding, box, point, labels, multimask=multimask)
            said = reference(
                image_embeddings=expected, input_boxes=box[None], input_points=point[None], input_labels=labels[None],
                multimask_output=multimask,
            )  # fmt: skip
            torch.testing.assert_close(logits, said.pred_masks[0], rtol=near, atol=near)
            torch.testing.assert_close(iou, said.iou_scores[0], rtol=near, atol=near)
            assert logits.std() > 0.01


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin", "no duplicate"])
def test_every_weight_comes_to_its_place(tiny: SamModel, kind: str, tmp_path: Path) -> None:
    if kind == "model.safetensors":
        tiny.save_pretrained(tmp_path)
    else:
        state = {
            k: v
            for k, v in tiny.state_dict().items()
            if not (k.startswith("prompt_encoder.shared") and "no" in kind)
        }
        torch.save(state, tmp_path / kind)
    assert_computes_the_same(tiny, load_sam("tiny", str(tmp_path / kind)), 1e-5)


def test_transformers_own_epsilon_is_the_only_difference(tmp_path: Path) -> None:
    """Its decoder has 1e-6, where SAM was trained with 1e-5; that moves logits in their fourth digit at most."""
    reference = tiny_with(1e-6)
    reference.save_pretrained(tmp_path)
    assert_computes_the_same(reference, load_sam("tiny", str(tmp_path / "model.safetensors")), 2e-4)


def test_metas_names_are_no_transformers_names(tiny: SamModel) -> None:
    assert is_huggingface(tiny.state_dict())
    assert not is_huggingface(load_sam("tiny").state_dict())


def test_what_is_missing_is_named_in_segment_anythings_names(tiny: SamModel, tmp_path: Path) -> None:
    state = tiny.state_dict()
    del state["mask_decoder.iou_prediction_head.proj_out.bias"], state["vision_encoder.neck.conv2.weight"]
    torch.save(state, tmp_path / "w.bin")
    with pytest.raises(
        UserError, match=r"  missing:\n    image_encoder\.neck\.2\.weight\n    mask_decoder\.iou_pred"
    ):
        load_sam("tiny", str(tmp_path / "w.bin"))


@pytest.mark.slow
def test_full_size_vit_b(tmp_path: Path) -> None:
    reference = transformers_sam({}, {}, {"layer_norm_eps": 1e-5})
    reference.save_pretrained(tmp_path)
    assert_computes_the_same(reference, load_sam("vit_b", str(tmp_path / "model.safetensors")), 1e-4)
