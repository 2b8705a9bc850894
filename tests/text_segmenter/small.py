"""Small text-prompted segmenters with random weights, in folders as they lie on the hub."""

import json
from pathlib import Path
from typing import Any

import torch
from open_clip import SimpleTokenizer
from transformers import (
    BertConfig,
    BertTokenizerFast,
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    CLIPTokenizerFast,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    PreTrainedModel,
    Sam3Config,
    Sam3Model,
    SwinConfig,
    ViTImageProcessor,
)

WORDS = [
    "a",
    "dark",
    "bright",
    "mass",
    "round",
    "in",
    "the",
    "of",
    "lesion",
    "liver",
    "irregular",
    "##s",
    ".",
]


def clip_tokenizer(context: int) -> CLIPTokenizerFast:
    """CLIP's published vocabulary, which open_clip carries, as transformers reads it."""
    own = SimpleTokenizer()
    start, end = "<start_of_text>", "<end_of_text>"
    return CLIPTokenizerFast(
        vocab=own.encoder,
        merges=list(own.bpe_ranks),
        unk_token=end,
        bos_token=start,
        eos_token=end,
        pad_token="!",
        model_max_length=context,
    )


def network_of(choice: str) -> PreTrainedModel:
    """The choice's kind of network, narrow, with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network: PreTrainedModel = _BUILD[choice]()
        for parameter in network.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.15)
    return network.eval()


def saved(choice: str, folder: Path) -> Path:
    """A folder as on the hub."""
    network_of(choice).save_pretrained(folder)
    if choice == "clipseg":
        ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    elif choice == "owlv2":
        Owlv2ImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    elif choice == "grounding_dino":
        GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96}).save_pretrained(folder)
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        (folder / "vocab.txt").write_text("\n".join(vocabulary))
        BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())
    return folder


_TRANSFORMER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}


def _clipseg() -> PreTrainedModel:
    text = {**_TRANSFORMER, "eos_token_id": 49407, "max_position_embeddings": 77}
    vision = {**_TRANSFORMER, "image_size": 64, "patch_size": 16}
    return CLIPSegForImageSegmentation(
        CLIPSegConfig(
            text_config=text,
            vision_config=vision,
            projection_dim=24,
            extract_layers=[0, 1],
            reduce_dim=16,
            conditional_layer=0,
            decoder_num_attention_heads=4,
            decoder_intermediate_size=32,
        )
    )


def _owlv2() -> PreTrainedModel:
    text = {**_TRANSFORMER, "max_position_embeddings": 16}
    vision = {**_TRANSFORMER, "image_size": 64, "patch_size": 16}
    return Owlv2ForObjectDetection(Owlv2Config(text_config=text, vision_config=vision, projection_dim=32))


def _grounding_dino() -> PreTrainedModel:
    backbone = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )
    return GroundingDinoForObjectDetection(
        GroundingDinoConfig(
            backbone_config=backbone,
            text_config=BertConfig(vocab_size=5 + len(WORDS), **_TRANSFORMER).to_dict(),
            num_queries=20,
            encoder_layers=1,
            decoder_layers=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            d_model=64,
            max_text_len=16,
        )
    )


def _sam3() -> PreTrainedModel:
    detr = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    return Sam3Model(
        Sam3Config(
            vision_config={
                "backbone_config": {
                    "model_type": "sam3_vit_model",
                    **_TRANSFORMER,
                    "image_size": 112,
                    "patch_size": 14,
                    "pretrain_image_size": 56,
                    "window_size": 4,
                    "global_attn_indexes": [1],
                },
                "fpn_hidden_size": 32,
                "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            },
            text_config={**_TRANSFORMER, "projection_dim": 24, "max_position_embeddings": 32},
            geometry_encoder_config=detr,
            detr_encoder_config=detr,
            detr_decoder_config={**detr, "num_queries": 12},
            mask_decoder_config={"hidden_size": 32, "num_attention_heads": 4},
        )
    )


_BUILD = {"clipseg": _clipseg, "owlv2": _owlv2, "grounding_dino": _grounding_dino, "sam3": _sam3}
