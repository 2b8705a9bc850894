import torch

from medsam_exp.sam.build import IMAGE_SIZE, PATCH_SIZE, build_tiny_sam
from medsam_exp.sam.load import load_sam


def test_it_is_small_enough_to_be_embedded() -> None:
    assert sum(parameter.numel() for parameter in build_tiny_sam().parameters()) <= 4_000_000


def test_masks_have_four_times_the_resolution_of_the_grid() -> None:
    sam = load_sam("tiny", "random")
    grid = IMAGE_SIZE // PATCH_SIZE
    with torch.no_grad():
        embedding = sam.encode(torch.zeros(2, 3, IMAGE_SIZE, IMAGE_SIZE))
        logits, iou = sam.decode_low_res(embedding, torch.tensor([[0.0, 0, 100, 100]] * 2))
    assert embedding.shape[2:] == (grid, grid)
    assert logits.shape == (2, 1, 4 * grid, 4 * grid)
    assert iou.shape == (2, 1)
