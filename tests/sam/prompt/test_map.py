"""The saliency map alone as mask logits."""

import numpy as np
import pytest
import torch

from medsam_exp.sam.load import load_sam
from medsam_exp.sam.prompt.map import MapAlone
from medsam_exp.types import UserError


def test_the_whole_map_is_the_only_prompt() -> None:
    saliency, mask = np.random.default_rng(1).random((8, 12), np.float32), np.zeros((8, 12), bool)
    prompter = MapAlone(scale=5, side=64).on_map(saliency)
    assert len(prompter(mask, np.random.default_rng(0))) == 0
    mask[1, 2] = mask[5, 7] = True
    made = prompter(mask, np.random.default_rng(0))
    assert len(made) == 1
    assert made.boxes_xyxy is made.point_coords is made.point_labels is None
    np.testing.assert_allclose(made.mask_logits[0], 5 * (2 * saliency - 1), atol=1e-5)


@pytest.mark.parametrize("multimask", [False, True])
def test_it_is_asked_as_segment_anything_asks(multimask: bool) -> None:
    """Meta's prompt encoder and mask decoder, with nothing but the map on a square image, where no logit is padded."""
    sam, size = load_sam("tiny"), (64, 64)
    embedding = torch.randn(128, 16, 16, generator=torch.Generator().manual_seed(0))
    saliency = np.random.default_rng(1).random(size, np.float32)
    prompts = MapAlone(scale=5, side=64).on_map(saliency)(np.ones(size, bool), np.random.default_rng(0))
    ((logits, iou),) = sam.decode(embedding, prompts, size, multimask=multimask)
    with torch.no_grad():
        given = torch.from_numpy(5 * (2 * saliency - 1))[None, None]
        sparse, dense = sam.prompt_encoder(points=None, boxes=None, masks=given)
        low_res, expected_iou = sam.mask_decoder(
            embedding[None], sam.prompt_encoder.get_dense_pe(), sparse, dense, multimask_output=multimask
        )
    assert sparse.shape[1] == 0
    torch.testing.assert_close(logits, sam.framing.to_original(low_res, size)[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(iou, expected_iou[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("given", [{"scale": 0, "side": 64}, {"scale": 5, "side": 0}])
def test_numbers_must_be_above_zero(given: dict[str, int]) -> None:
    with pytest.raises(UserError, match=r"^prompt\.(scale|side) is 0"):
        MapAlone(**given)
