"""SAM 3's presence as a run's presence score, with a small SAM 3 of random weights."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from medsam_exp.cli.runner import run
from medsam_exp.config.build import build, weight_files
from medsam_exp.config.schema import check
from medsam_exp.saliency.grounding.control_texts import KINDS
from medsam_exp.text_segmenter.presence.sam3 import Sam3Presence
from medsam_exp.text_segmenter.sam3 import load_sam3
from medsam_exp.types import NetworkPresence, UserError
from tests.compose import composed
from tests.stored import stored
from tests.text_segmenter.small import saved

SMALL = ("saliency=patch_text", "data=phantom_presence", "data.count=3", "presence=sam3")
STAGES = "stages=[saliency,presence,coarse_mask,evaluate,control_maps,grounding]"


def by_its_forward(folder: Path, image: np.ndarray, text: str) -> float:
    """The sigmoid of the network's presence logit, its own forward pass asked once."""
    segmenter = load_sam3(str(folder), 0.5, 0.5)
    (pixels,) = segmenter.preprocess(image)
    tokens = segmenter.tokenizer([text])
    with torch.no_grad():
        found = segmenter.network(
            pixel_values=pixels[None],
            input_ids=tokens,
            attention_mask=(tokens > 0).long(),
            input_boxes=torch.zeros(1, 1, 4),
            input_boxes_labels=torch.full((1, 1), -10),
        )
    return float(found.presence_logits.sigmoid())


def test_a_run_stores_the_networks_own_presence_and_the_veto_obeys_it(tmp_path: Path) -> None:
    folder = saved("sam3", tmp_path / "sam3")
    dataset = build(composed(*SMALL).data)
    texts = build(composed(*SMALL).text).bind(dataset.samples)
    expected = {
        sample.id: by_its_forward(folder, dataset.read_image(sample.id), texts[sample.id][0])
        for sample in dataset.samples
    }
    limit = float(np.sort(list(expected.values()))[1])  # one of the three is below it
    overrides = (*SMALL, STAGES, f"presence.model={folder}", "veto=presence", f"veto.threshold={limit}")
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    run(composed(*overrides, f"paths.outputs={tmp_path}"), run_dir, {}, list(overrides))
    summary = json.loads((run_dir / "summary.json").read_text())
    parts = {name: stored(tmp_path / "artifacts" / name / key) for name, key in summary["keys"].items()}
    vetoed = []
    for name, probability in expected.items():
        record = parts["presence"].info(name)
        assert record["score"] == pytest.approx(probability, abs=1e-6)
        assert record["scores"] == {"presence": {"probability": record["score"]}}
        vetoed.append(parts["coarse_mask"].info(name)["vetoed"])
        assert vetoed[-1] == (record["score"] < limit)
        own = parts["grounding"].info(name)
        for kind in KINDS:
            (text,) = own["texts"][kind]
            asked = by_its_forward(folder, dataset.read_image(name), text)
            assert own["scores"]["grounding"][f"presence_{kind}"] == pytest.approx(asked, abs=1e-6)
    assert sum(vetoed) == 1


def test_it_needs_neither_clip_nor_map(tmp_path: Path) -> None:
    folder, run_dir = saved("sam3", tmp_path / "sam3"), tmp_path / "run"
    run_dir.mkdir()
    overrides = [*SMALL, "stages=[presence]", f"presence.model={folder}", "clip.model=no/such/folder"]
    run(composed(*overrides, f"paths.outputs={tmp_path}"), run_dir, {}, overrides)
    summary = json.loads((run_dir / "summary.json").read_text())
    (key,) = summary["keys"].values()
    dataset = build(composed(*SMALL).data)
    text = build(composed(*SMALL).text).bind(dataset.samples)
    name = dataset.samples[0].id
    score = stored(tmp_path / "artifacts" / "presence" / key).info(name)["score"]
    assert score == pytest.approx(by_its_forward(folder, dataset.read_image(name), text[name][0]), abs=1e-6)


def test_nothing_is_loaded_before_the_network_is_asked_for_and_what_lacks_is_named(tmp_path: Path) -> None:
    scorer = Sam3Presence(str(tmp_path / "absent"))
    assert isinstance(scorer, NetworkPresence)
    assert scorer.calibrated_on is None
    with pytest.raises(UserError, match=r"^presence\.model=.*absent is neither a folder nor a file"):
        weight_files(composed("presence=sam3", f"presence.model={tmp_path / 'absent'}").presence)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"^presence\.model="):
        Sam3Presence(str(tmp_path)).network()
    kept = Sam3Presence(str(saved("sam3", tmp_path / "sam3")))
    assert kept.network() is kept.network()


def test_a_calibration_of_it_is_refused() -> None:
    with pytest.raises(UserError, match="which this presence score has not"):
        check(composed("presence=sam3", "stages=[saliency,presence,calibrate]", "data=phantom_calibration"))
