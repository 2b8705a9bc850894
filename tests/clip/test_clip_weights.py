"""Weights of another network are said with what they look like, beside the table of names."""

import itertools
import re
from pathlib import Path

import open_clip
import pytest
import torch

from medsam_exp.clip import weights as clip_weights
from medsam_exp.clip.layouts import to_huggingface
from medsam_exp.clip.weights import looks_like, put_weights
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


NETWORKS = (
    "ViT-B-32-quickgelu", "ViT-B-16-quickgelu", "ViT-L-14-quickgelu", "RN50-quickgelu", "ViT-B-32-256", "biomedclip",
    "tiny",
)  # fmt: skip
"""What the choices of clip and the catalogue of weights build, and one of another image size."""


network = clip_weights._named


def test_whoever_follows_the_advice_gets_a_network_that_loads() -> None:
    for stored, chosen in itertools.permutations(NETWORKS, 2):
        weights = network(stored).state_dict()
        with pytest.raises(UserError, match=f"do not fit clip.model={chosen}") as caught:
            put_weights(network(chosen), weights, Path("w.pt"), chosen)
        advice = str(caught.value).split("\n")[0]
        if stored == "tiny":
            assert "set clip.model to the network that they were trained with" in advice
        elif stored == "biomedclip":
            assert "choose clip=biomedclip_finetuned" in advice
            put_weights(network("biomedclip"), weights, Path("w.pt"), "")
        else:
            named = re.search(r"set clip\.model=([\w-]+)", advice)
            assert named is not None, advice
            put_weights(network(named[1]), weights, Path("w.pt"), "")


def test_the_port_s_names_are_recognised_and_more_than_it_is_said() -> None:
    weights = to_huggingface(network("biomedclip").state_dict())
    assert looks_like(weights).endswith("choose clip=biomedclip_finetuned")
    pooler = {"text.transformer.pooler.dense.weight": torch.empty(768, 768, device="meta")}
    more = network("biomedclip").state_dict() | pooler
    assert looks_like(more) == ""
    with pytest.raises(
        UserError, match=r"1 unexpected, of \d+\); all that clip.model=b needs is there, and more;"
    ):
        put_weights(network("biomedclip"), more, Path("w.pt"), "b")


def test_positions_of_another_length_are_said() -> None:
    weights = network("ViT-B-32-quickgelu").state_dict()
    weights["positional_embedding"] = torch.empty(248, 512, device="meta")
    with pytest.raises(
        UserError, match=r"another image size or text length, and positions are not interpolated"
    ):
        put_weights(network("ViT-B-32-quickgelu"), weights, Path("long.pt"), "ViT-B-32-quickgelu")


def test_weights_of_a_clip_given_to_sam(tmp_path: Path) -> None:
    torch.save({"visual.proj": torch.zeros(1), "token_embedding.weight": torch.zeros(1)}, tmp_path / "c.pth")
    with pytest.raises(UserError, match=r"this looks like a CLIP, so give it as clip.weights:\n"):
        load_sam("tiny", str(tmp_path / "c.pth"))
