import base64
import gzip
import json

import pytest

from medsam_exp.config.settings import differing, flat_settings
from medsam_exp.report.web.render import as_json, compressed_plotly
from medsam_exp.report.web.scores import interned, run_data


def test_plotly_is_whole_and_less_than_half_as_large() -> None:
    offline = pytest.importorskip("plotly.offline")
    packed = compressed_plotly()
    assert gzip.decompress(base64.b64decode(packed)).decode() == offline.get_plotlyjs()
    assert len(packed) < 2_200_000


def test_json_cannot_end_its_element_and_has_no_nan() -> None:
    content = {"a": "</script><!--", "b": [float("nan"), 1.5, {"c": float("inf")}], "d": ("x", None)}
    text = as_json(content)
    assert "<" not in text
    assert json.loads(text) == {"a": "</script><!--", "b": [None, 1.5, {"c": None}], "d": ["x", None]}


def test_each_text_is_said_once() -> None:
    texts, places = interned([{"i": "a mass", "j": "a cyst"}, {"i": "a cyst", "j": ""}], ["i", "j", "k"])
    assert [[None if p is None else texts[p] for p in own] for own in places] == [
        ["a mass", "a cyst", None],
        ["a cyst", None, None],
    ]
    assert len(texts) == 2


def test_scores_stand_at_their_image() -> None:
    rows = [
        {"id": "b", "text": "t", "stage": "sam", "dsc": 0.5, "presence": 1.0},
        {"id": "a", "text": "t", "stage": "sam", "dsc": float("nan")},
        {"id": "a", "text": "t", "stage": "coarse", "dsc": 0.25, "iou": None},
    ]
    found = run_data("run", {"sam_mask": "k"}, rows)
    assert found["images"] == ["b", "a"]
    assert found["jobs"][0]["scores"] == {"coarse/dsc": [None, 0.25], "sam/dsc": [0.5, None]}
    assert found["scores"] == {"coarse/dsc": "Coarse mask, DSC", "sam/dsc": "SAM mask, DSC"}
    assert list(found["stages"]) == ["coarse", "sam"]
    assert run_data("training", {}, [])["scores"] == {}


def test_settings_that_differ() -> None:
    first = {"seed": 1, "saliency": {"beta": 1.0, "layer": 3}, "paths": {"outputs": "x"}, "name": "a"}
    second = {"seed": 1, "saliency": {"beta": 2.0}, "paths": {"outputs": "y"}, "name": "b", "veto": {}}
    assert differing([flat_settings(first), flat_settings(second)]) == [
        {"saliency.beta": "1.0", "saliency.layer": "3", "veto": "–"},
        {"saliency.beta": "2.0", "saliency.layer": "–", "veto": "{}"},
    ]
