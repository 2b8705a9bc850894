"""Several boxes for each region, and the fusion that sees the masks of all of them."""

import numpy as np
import pytest
import torch

from medsam_exp.sam.fusion.map_agreement import MapAgreement
from medsam_exp.sam.load import load_sam
from medsam_exp.sam.prompt.box import BoxPerComponent
from medsam_exp.sam.prompt.jittered_boxes import JitteredBoxes
from medsam_exp.training.sam_inference import answer_prompts
from medsam_exp.types import UserError

SIZE = (60, 90)


def two_regions() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[5:25, 10:30] = mask[35:55, 40:80] = True
    return mask


def test_each_region_has_its_box_and_others_near_it() -> None:
    made = JitteredBoxes(BoxPerComponent(), BoxPerComponent(jitter=0.2), 4)(
        two_regions(), np.random.default_rng(0)
    )
    assert made.alternatives == 4
    boxes = made.boxes_xyxy.reshape(2, 4, 4)
    for tight, some in zip(([10, 5, 30, 25], [40, 35, 80, 55]), boxes, strict=True):
        assert some[0].tolist() == tight
        sides = np.tile(np.subtract(tight[2:], tight[:2]), 2)
        moves = np.abs(some[1:] - tight) / sides
        assert (moves <= 0.2 + 1e-6).all()
        assert len(np.unique(some, axis=0)) == 4


def test_the_fusion_chooses_among_the_masks_of_all_boxes() -> None:
    sam, saliency = load_sam("tiny"), np.random.default_rng(1).random(SIZE, np.float32)
    embedding = torch.randn(128, 16, 16, generator=torch.Generator().manual_seed(0))
    prompts = JitteredBoxes(BoxPerComponent(), BoxPerComponent(jitter=0.3), 3)(
        two_regions(), np.random.default_rng(0)
    )
    found = answer_prompts(sam, MapAgreement().on_map(saliency), embedding, prompts, SIZE)
    answers = list(sam.decode(embedding, prompts, SIZE, multimask=True))
    united, sure = np.zeros(SIZE, bool), []
    for region in range(2):
        best, kept, iou = -np.inf, np.zeros(SIZE, bool), 0.0
        for logits, expected in answers[3 * region : 3 * region + 3]:
            for proposal, value in zip(logits.numpy() > 0, expected.tolist(), strict=True):
                inside, outside = saliency[proposal], saliency[~proposal]
                score = (inside.mean() if inside.size else 0) - outside.mean() if outside.size else 0
                if score > best + 1e-6:
                    best, kept, iou = score, proposal, value
        united |= kept
        sure.append(iou)
    assert np.array_equal(found.mask, united)
    assert found.iou_predictions == pytest.approx(sure)
    assert [len(row) for row in found.proposal_iou_predictions] == [9, 9]


@pytest.mark.parametrize(("count", "jitter", "said"), [(1, 0.1, "count is 1"), (3, 0.0, "jitter is 0")])
def test_there_must_be_something_to_choose_from(count: int, jitter: float, said: str) -> None:
    with pytest.raises(UserError, match=said):
        JitteredBoxes(BoxPerComponent(), BoxPerComponent(jitter=jitter), count)
