import re
from pathlib import Path

import open_clip
import pytest
import yaml
from omegaconf import OmegaConf

from medsam_exp.cli.weights.catalogue import CATALOGUE, catalogue, find, published_at, read_catalogue
from medsam_exp.clip.load import vision_layout
from medsam_exp.clip.source import find_source
from medsam_exp.sam.weight_files import PUBLISHED
from medsam_exp.types import UserError
from tests.compose import CONF, composed

ENTRIES = list(catalogue().values())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_to_type_uses_the_entrys_file(entry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With its files there, the options of the catalogue lead to them, with nothing else typed."""
    monkeypatch.setenv("MEDSAM_WEIGHTS", str(tmp_path))
    for file in entry.files:
        (tmp_path / file.path).parent.mkdir(exist_ok=True)
        (tmp_path / file.path).write_text("x")
    cfg = composed(*entry.use.split())
    OmegaConf.resolve(cfg)
    values = {str(value) for value in cfg[entry.kind].values()}
    places = {str(tmp_path / file.path) for file in entry.files}
    folders = {str(Path(place).parent) for place in places} - {str(tmp_path)}
    assert values & (places | folders)
    assert not any("hf-hub:" in value for value in values)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entries_say_everything(entry) -> None:
    assert all((entry.title, entry.architecture, entry.layout, entry.licence))
    assert entry.page.startswith("https://")
    assert all(file.size or file.about for file in entry.files)
    assert all(file.address.startswith("https://") for file in entry.files)
    descriptions = [n for n, file in enumerate(entry.files) if file.name == "open_clip_config.json"]
    assert descriptions in ([], [len(entry.files) - 1])  # a folder that has it is whole


@pytest.mark.parametrize("family", sorted(set(PUBLISHED) - {"tiny", "sam3_tracker"}))  # gated
def test_the_advice_of_a_missing_sam_names_an_entry(family: str) -> None:
    name = re.search(r"weights get (\w+)", PUBLISHED[family].where_from)[1]
    assert find(name).files[0].path == PUBLISHED[family].file


@pytest.mark.parametrize("path", sorted((CONF / "text_segmenter").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_text_segmenter_has_an_entry(path: Path) -> None:
    if path.stem == "salip":
        pytest.skip("SaLIP is made of the run's CLIP and SAM")
    assert find(path.stem).use == f"text_segmenter={path.stem}"


OWN = {"folder", "tiny", "tiny_random", "tiny_scratch"}
"""CLIPs that are any folder's, or the package's own."""


@pytest.mark.parametrize("path", sorted((CONF / "clip").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_published_clip_has_an_entry(path: Path) -> None:
    assert path.stem in OWN or find(path.stem).use == f"clip={path.stem}"


def test_metas_names_carry_the_first_digits_of_their_md5() -> None:
    for name in ("sam_vit_b", "sam_vit_l", "sam_vit_h"):
        file = find(name).files[0]
        assert file.name.removesuffix(".pth").endswith(file.md5[:6])
        assert not file.sha256.startswith(file.md5[:6])


def test_openais_addresses_are_those_of_open_clip() -> None:
    known = {
        open_clip.pretrained.get_pretrained_cfg(model, "openai").get("url")
        for model in open_clip.list_models()
    }
    for name in ("openai_vit_b16", "openai_vit_b32", "openai_vit_l14", "openai_rn50"):
        file = find(name).files[0]
        assert file.address in known
        assert file.address.split("/")[-2] == file.sha256


@pytest.mark.parametrize("name", ["biomedclip", "biomedclip_finetuned"])
def test_small_files_of_biomedclip_are_the_published_ones(name: str, shared: Path) -> None:
    import hashlib

    for file in find(name).files[1:]:
        data = (shared / "models" / "biomedclip_config" / file.name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size, file.sha256)


@pytest.mark.parametrize("path", sorted((CONF / "clip").glob("openai*.yaml")), ids=lambda path: path.stem)
def test_openai_choices_keep_their_activation_and_depth(path: Path) -> None:
    choice = yaml.safe_load(path.read_text())
    assert find_source(choice["model"]).model_cfg["quick_gelu"]
    assert not vision_layout(choice["model"]).layer_problem(choice["saliency_layer"])


def test_unknown_names_have_a_hint() -> None:
    with pytest.raises(UserError, match="no weights 'sam_vit_x'; did you mean sam_vit_"):
        find("sam_vit_x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "abc"}, r"a\.files\.0\.sha256: String should match pattern .*64"),
        (
            {"md5": "0" * 32, "path": "net_123abc.pth"},
            "net_123abc.pth has other digits in its name than its md5",
        ),
        ({"path": "../net.pth"}, "leads out of the folder of weights"),
        ({"drive": "x"}, "needs either url or drive"),
        ({"size": "many"}, r"a\.files\.0\.size"),
        ({"colour": "red"}, r"a\.files\.0\.colour"),
    ],
)
def test_mistakes_in_the_file_are_named(change: dict[str, str], said: str, tmp_path: Path) -> None:
    content = yaml.safe_load(CATALOGUE.read_text())["sam_vit_b"]
    content["files"] = [{"path": "net.pth", "url": "https://x/"} | change]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"a": content}))
    with pytest.raises(UserError, match=said):
        read_catalogue(tmp_path / "c.yaml")


def test_places_are_recognised(tmp_path: Path) -> None:
    assert published_at(tmp_path / "sam_vit_b_01ec64.pth", tmp_path) == find("sam_vit_b")
    assert published_at(tmp_path / "biomedclip", tmp_path) == find("biomedclip")
    assert published_at(tmp_path, tmp_path) is None
    assert published_at(tmp_path / "mine.pth", tmp_path) is None
    assert published_at(Path("/elsewhere/sam_vit_b_01ec64.pth"), tmp_path) is None
