"""The shipped configurations read what the preparers write: images, classes, sentences, pairs."""

from pathlib import Path

import pytest

from medsam_exp.config.build import build
from tests.command import command
from tests.compose import composed
from tests.curation.prepare import miniatures

main = command("prepare")


@pytest.mark.parametrize(
    ("command", "data", "draw", "options", "classes"),
    [
        ("busi", "busi", miniatures.busi, ["--split", "test=1"], {"benign", "malignant"}),
        ("udiat", "busi", miniatures.udiat, ["--split", "test=1"], {"benign", "malignant"}),
        (
            "brain_mri",
            "brain_mri",
            miniatures.brain,
            ["--partial", "--split", "test=1"],
            {"glioma", "meningioma", "pituitary"},
        ),
        ("lung_xray", "lung_xray", miniatures.covid, [], {"covid", "non covid", "normal"}),
        ("lung_ct", "lung_ct", miniatures.chest_ct, [], {None}),
    ],
)
def test_data(tmp_path, monkeypatch, command, data, draw, options, classes) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("MEDSAM_DATA", str(tmp_path / "data"))
    assert main([command, str(draw(tmp_path / "raw")), *options]) == 0  # to where the configuration looks
    text = "generic" if classes == {None} else "subtype"
    config = composed(f"data={data}", f"text={text}", "clip=tiny", "sam=tiny")
    dataset = build(config.data)
    assert {sample.class_name for sample in dataset.samples} == classes
    assert dataset.has_ground_truth
    texts = build(config.text).bind(dataset.samples)
    assert texts.keys() == {sample.id for sample in dataset.samples}
    assert len(set(texts.values())) == len(classes)


@pytest.mark.parametrize(
    ("command", "draw", "train", "validation"),
    [("medpix", miniatures.medpix, 3, None), ("roco", miniatures.roco, 3, 3)],
)
def test_pairs(tmp_path, monkeypatch, command, draw, train, validation) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("MEDSAM_DATA", str(tmp_path / "data"))
    assert main([command, str(draw(tmp_path / "raw"))]) == 0
    config = composed("+experiment=medpix_finetune", f"pairs={command}", "clip=tiny")
    found = build(config.pairs.train, part="all")
    assert len(found.ids) == train
    assert all(Path(pair_id).parts[0] == "images" for pair_id in found.ids)
    if validation is not None:
        assert len(build(config.pairs.validation).ids) == validation
