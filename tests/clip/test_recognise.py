"""Weights of another network are said with what they look like, beside the table of names."""

from pathlib import Path

import open_clip
import pytest
import torch

from medsam_exp.clip.matching import put_weights
from medsam_exp.clip.recognise import looks_like
from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.load import load_sam
from medsam_exp.types import UserError


def shapes_of(name: str) -> dict[str, torch.Tensor]:
    """Names and shapes of one of open_clip's networks, without memory."""
    cfg = open_clip.get_model_config(name)
    with torch.device("meta"):
        return open_clip.CLIP(
            **{k: v for k, v in cfg.items() if k in ("embed_dim", "vision_cfg", "text_cfg")}
        ).state_dict()


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("ViT-B-32", "ViT-B-32-quickgelu"),
        ("ViT-B-16", "ViT-B-16-quickgelu"),
        ("ViT-L-14", "ViT-L-14-quickgelu"),
        ("ViT-L-14-336", "ViT-L-14-336-quickgelu"),
    ],
)
def test_open_clips_networks_are_recognised(name: str, chosen: str) -> None:
    said = looks_like(shapes_of(name))
    assert said.endswith(f"so set clip.model={chosen}")
    assert name in said


def test_the_sentence_stands_above_the_table() -> None:
    with torch.device("meta"):
        network = open_clip.CLIP(
            embed_dim=24,
            vision_cfg={"image_size": 32, "patch_size": 8, "width": 64, "layers": 1},
            text_cfg={"context_length": 77, "width": 64, "heads": 1, "layers": 1},
        )
    with pytest.raises(
        UserError,
        match=r"do not fit clip.model=small .* look like open_clip's ViT-B-32-quickgelu or ViT-B-32",
    ) as caught:
        put_weights(network, shapes_of("ViT-B-32"), Path("b32.pt"), "small")
    assert "unexpected:\n" in str(caught.value)


def test_weights_of_a_sam_and_of_nothing_known() -> None:
    assert looks_like(FAMILIES["tiny"].build().state_dict()).endswith("so give them as sam.checkpoint")
    assert looks_like({"weight": torch.zeros(3)}) == ""


def test_weights_of_a_clip_given_to_sam(tmp_path: Path) -> None:
    torch.save({"visual.proj": torch.zeros(1), "token_embedding.weight": torch.zeros(1)}, tmp_path / "c.pth")
    with pytest.raises(UserError, match=r"this looks like a CLIP, so give it as clip.weights:\n"):
        load_sam("tiny", str(tmp_path / "c.pth"))
