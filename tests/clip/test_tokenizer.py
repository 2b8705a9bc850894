import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import BertConfig

from medsam_exp.clip.load import load_clip, vision_layout
from medsam_exp.types import UserError
from tests.clip.conftest import SMALL_BERT

Embed = Callable[..., tuple[torch.Tensor, torch.Tensor]]


def test_bert_without_its_config(bert_folder: Path, embeddings: Embed) -> None:
    clip = load_clip(str(bert_folder))
    bert = clip.network.text.config
    assert (bert.vocab_size, bert.max_position_embeddings, bert.layer_norm_eps) == (30522, 512, 1e-12)
    assert (bert.type_vocab_size, bert.hidden_act, bert.pad_token_id) == (2, "gelu", 0)
    tokens = clip.tokenize(["A benign breast tumor"])
    assert tokens.tolist() == [[2, 5, 6, 7, 8, 3] + [0] * 10]
    image, text = embeddings(clip)
    assert image.isfinite().all()
    assert text.isfinite().all()
    assert not torch.equal(text, embeddings(clip, "benign breast tumors")[1])
    assert clip.depth == vision_layout(str(bert_folder)).depth == 6


def test_bert_config_of_base_size() -> None:
    wanted = {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
    }
    assert wanted.items() <= BertConfig().to_dict().items()


def test_folder_with_its_own_bert_config(bert_folder: Path, embeddings: Embed) -> None:
    before = load_clip(str(bert_folder))
    BertConfig(**SMALL_BERT, layer_norm_eps=0.1).save_pretrained(bert_folder)
    after = load_clip(str(bert_folder))
    assert after.network.text.config.layer_norm_eps == 0.1
    assert not torch.equal(embeddings(before)[1], embeddings(after)[1])


@pytest.mark.parametrize(
    "name",
    ["FacebookAI/xlm-roberta-base", "emilyalsentzer/Bio_ClinicalBERT", "google/bert_uncased_L-4_H-256"],
)
def test_other_text_towers_need_their_config(bert_folder: Path, name: str) -> None:
    path = bert_folder / "open_clip_config.json"
    description = json.loads(path.read_text())
    description["model_cfg"]["text_cfg"]["hf_model_name"] = name
    path.write_text(json.dumps(description))
    with pytest.raises(UserError, match=f"no config.json for its text tower {name}"):
        load_clip(str(bert_folder))


@pytest.fixture
def make_biomedclip_folder(shared: Path, tmp_path: Path) -> Callable[[], Path]:
    """Only the published files, and random weights in the published format."""

    def make() -> Path:
        folder = tmp_path / "biomedclip"
        shutil.copytree(shared / "models" / "biomedclip_config", folder)
        folder.chmod(0o755)
        clip = load_clip(str(folder), "random")
        torch.save(clip.network.state_dict(), folder / "open_clip_pytorch_model.bin")
        return folder

    return make


def test_depth_of_biomedclip_from_its_description(shared: Path) -> None:
    assert vision_layout(str(shared / "models" / "biomedclip_config")).depth == 12


@pytest.mark.slow
def test_biomedclip_from_its_published_files(
    make_biomedclip_folder: Callable[[], Path], embeddings: Embed
) -> None:
    folder = make_biomedclip_folder()
    clip = load_clip(str(folder))
    assert (clip.depth, clip.grid, clip.prefix_tokens) == (12, (14, 14), 1)
    assert (clip.embed_dim, clip.image_size) == (512, 224)
    assert sum(parameter.numel() for parameter in clip.parameters()) == 195_902_721
    texts = ["a benign breast tumour", "pneumothorax"]
    reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert clip.tokenize(texts).tolist() == [encoding.ids for encoding in reference.encode_batch(texts)]
    image, text = embeddings(clip)
    assert image.shape == (2, 512)
    assert text.shape == (1, 512)
    with torch.no_grad():
        images = torch.linspace(-1, 1, 2 * 3 * 224 * 224).reshape(2, 3, 224, 224)
        split = clip.vision_suffix(clip.vision_prefix(images, 9), 9)
        torch.testing.assert_close(split, clip.encode_image(images), rtol=1e-4, atol=1e-4)
