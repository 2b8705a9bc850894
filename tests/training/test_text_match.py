"""Text match of masks against views cut by hand and embedded one by one."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from medsam_exp.clip.text_match.contrast import EMPTY, TextMatch
from medsam_exp.clip.text_match.cut_out import CutOut
from medsam_exp.clip.text_match.in_place import InPlace
from medsam_exp.config.build import build
from medsam_exp.training.prediction import PredictModule, batch_loader
from medsam_exp.training.text_match import TextMatches
from medsam_exp.types import UserError
from tests.compose import choices, composed

CONTROLS = ("a polyp", "a red car", "qwv xkl")
TEXTS = {"s0": ("a dark mass",), "s1": ("a dark mass", "a lesion"), "s2": ("a bright nodule",)}


def image_of(sample_id: str) -> np.ndarray:
    number = int(sample_id[1:])
    return np.random.default_rng(number).integers(1, 255, (20 + number, 31, 3), dtype=np.uint8)


def masks_of(sample_id: str) -> list[np.ndarray]:
    """A ragged one, and one that is empty in s1."""
    shape = image_of(sample_id).shape[:2]
    ragged = np.zeros(shape, bool)
    ragged[4:15, 9:28] = np.random.default_rng(7).random((11, 19)) > 0.4
    ragged[4, 9] = ragged[14, 27] = True
    dot = np.zeros(shape, bool)
    dot[-1, 0] = sample_id != "s1"
    return [ragged, dot]


def by_hand(image: np.ndarray, mask: np.ndarray, *, in_place: bool) -> np.ndarray:
    """The view pixel by pixel."""
    inside = [(y, x) for y in range(mask.shape[0]) for x in range(mask.shape[1]) if mask[y, x]]
    ys, xs = [y for y, _ in inside], [x for _, x in inside]
    view = np.zeros_like(image)
    for y, x in inside:
        view[y, x] = image[y, x]
    return view if in_place else view[min(ys) : max(ys) + 1, min(xs) : max(xs) + 1]


@pytest.fixture
def scores(small_clip, make_trainer) -> Callable[..., dict[str, list[float]]]:
    def run(
        text_match: TextMatch, ids: tuple[str, ...] = tuple(TEXTS), batch_size: int = 2, threads: int = 0
    ) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        clip = small_clip()
        answers = TextMatches(clip, text_match, TEXTS, image_of, masks_of, batch_size)
        module = PredictModule(clip, answers, found.__setitem__)
        loader = batch_loader(ids, answers.read, batch_size=batch_size, threads=threads)
        make_trainer().predict(module, loader, return_predictions=False)
        return found

    return run


@pytest.mark.parametrize(("method", "in_place"), [(CutOut, False), (InPlace, True)])
def test_a_score_is_the_cosine_with_the_text_minus_the_mean_with_the_controls(
    method: type[TextMatch], in_place: bool, scores, small_clip
) -> None:
    clip, found = small_clip(), scores(method(CONTROLS))

    def unit(text: str) -> torch.Tensor:
        embedding = clip.encode_text(clip.tokenize([text]))[0]
        return embedding / embedding.norm()

    def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
        return float(one @ other / one.norm() / other.norm())

    with torch.no_grad():
        for name, texts in TEXTS.items():
            own = sum(unit(text) for text in texts) / len(texts)
            for mask, score in zip(masks_of(name), found[name], strict=True):
                if not mask.any():
                    assert score == EMPTY == -2
                    continue
                view = by_hand(image_of(name), mask, in_place=in_place)
                seen = clip.encode_image(clip.preprocess(view)[None])[0]
                others = sum(cosine(seen, unit(text)) for text in CONTROLS) / len(CONTROLS)
                assert score == pytest.approx(cosine(seen, own) - others, abs=1e-5)
                assert score != pytest.approx(0, abs=1e-4)


def test_both_views_differ_and_order_batch_and_threads_do_not_matter(scores) -> None:
    whole = scores(CutOut(CONTROLS))
    assert scores(InPlace(CONTROLS))["s0"] != pytest.approx(whole["s0"], abs=1e-4)
    assert scores(CutOut(CONTROLS), ("s2", "s0"))["s2"] == pytest.approx(whole["s2"], abs=1e-6)
    assert scores(CutOut(CONTROLS), batch_size=5)["s1"] == pytest.approx(whole["s1"], abs=1e-6)
    assert scores(CutOut(CONTROLS), threads=2) == whole
    assert scores(CutOut(CONTROLS[::-1]))["s0"] == pytest.approx(whole["s0"], abs=1e-6)


@pytest.mark.parametrize("choice", choices("text_match"))
def test_a_choice_shows_what_the_mask_covers_and_nothing_else(choice: str) -> None:
    text_match = build(composed(f"text_match={choice}").text_match)
    image, mask = image_of("s0"), masks_of("s0")[0]
    before = image.copy()
    view = text_match.view(image, mask)
    assert view.dtype == np.uint8
    assert sorted(view[view.any(axis=-1)].tolist()) == sorted(image[mask].tolist())
    assert (image == before).all()
    with pytest.raises(UserError, match=r"text_match\.control_texts is empty"):
        build(composed(f"text_match={choice}", "text_match.control_texts=[]").text_match)
