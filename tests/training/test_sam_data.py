from dataclasses import fields

import numpy as np
import pytest
import torch

from medsam_exp.sam.framing import LongestSide, MedSamFraming, Sam2Framing, SamMed2dFraming
from medsam_exp.training.sam_data import MaskPromptDataModule
from medsam_exp.types import UserError


def batches(discs, sam, *, epoch=0, **options):
    settings = {"batch_size": 2, "seed": 3, "held_out": 0.0, "missing_share": 0.0} | options
    data = MaskPromptDataModule(discs, sam, **settings)
    data.setup("fit")
    loader = data.train_dataloader()
    loader.sampler._trained_batches = lambda: epoch * data.batches_per_epoch
    return list(loader)


def by_image(loaded) -> dict[int, list[torch.Tensor]]:
    """All fields of every image, by the number that its corner pixels tell."""
    return {
        int(batch.image[row].max()): [getattr(batch, field.name)[row] for field in fields(batch)]
        for batch in loaded
        for row in range(len(batch.image))
    }


def test_an_item_depends_on_seed_epoch_and_id_alone(discs, plain_sam) -> None:
    expected = by_image(batches(discs(9), plain_sam))
    assert len(expected) == 8
    for options in ({"workers": 2}, {"batch_size": 3}, {"batch_size": 4, "workers": 1}):
        found = by_image(batches(discs(9), plain_sam, **options))
        for number in found.keys() & expected.keys():
            for left, right in zip(found[number], expected[number], strict=True):
                assert torch.equal(left, right), options
    for options in ({"epoch": 1}, {"seed": 4}):
        found = by_image(batches(discs(9), plain_sam, **options))
        shared = found.keys() & expected.keys()
        assert sum(not torch.equal(found[n][2], expected[n][2]) for n in shared) >= len(shared) - 1


def test_prompts_and_mask_share_the_input_frame(discs, plain_sam) -> None:
    seen = 0
    for epoch in range(5):
        for image, mask, box, points, labels in by_image(batches(discs(8), plain_sam, epoch=epoch)).values():
            assert image.shape == (3, 32, 32)
            assert mask.shape == (32, 32)
            assert set(mask.unique().tolist()) == {0, 1}
            assert not mask[20:].any(), "below the image there is only padding"
            assert torch.equal(mask.bool(), (image[0] > 60) & (image[0] < 200)), "the object is the disc"
            rows, columns = torch.nonzero(mask, as_tuple=True)
            tight = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            low, high = torch.maximum(tight[:2], box[:2]), torch.minimum(tight[2:], box[2:])
            shared = (high - low).clamp(0).prod()
            union = (tight[2:] - tight[:2]).prod() + (box[2:] - box[:2]).prod() - shared
            assert shared / union > 0.2
            for (x, y), label in zip(points, labels, strict=True):
                if label >= 0:
                    seen += 1
                    near = mask[max(0, int(y) - 1) : int(y) + 2, max(0, int(x) - 1) : int(x) + 2]
                    assert bool(label) in near.bool()
    assert seen > 50


def test_a_share_of_the_prompts_misses_every_object(discs, plain_sam) -> None:
    empty = 0
    for epoch in range(10):
        items = by_image(batches(discs(9), plain_sam, epoch=epoch, missing_share=0.5)).values()
        for image, mask, (x0, y0, x1, y1), points, labels in items:
            disc = (image[0] > 60) & (image[0] < 200)
            if mask.any():
                assert torch.equal(mask.bool(), disc)
                continue
            empty += 1
            assert x1 > x0
            assert y1 > y0
            inner = disc[int(y0.ceil()) : int(y1.floor()), int(x0.ceil()) : int(x1.floor())]
            assert not inner.any(), "a box that means nothing holds nothing"
            for (x, y), label in zip(points, labels, strict=True):
                assert label < 1 or not disc[int(y), int(x)]
            assert labels[0] == 1
    assert 20 < empty < 60, "about half of 80"


def test_images_without_an_object_are_left_out(discs, plain_sam) -> None:
    data = MaskPromptDataModule(discs(6, empty=4), plain_sam, batch_size=2, seed=0, held_out=0.3)
    data.setup("fit")
    assert data.train_size == 4
    (first,) = data.val_dataloader()
    (again,) = data.val_dataloader()
    assert torch.equal(first.boxes, again.boxes)
    held_out = {int(image.max()) for image in first.image}
    trained = {int(image.max()) for batch in data.train_dataloader() for image in batch.image}
    assert len(held_out) == 2
    assert held_out.isdisjoint(trained)
    with pytest.raises(UserError, match="no object in any mask"):
        MaskPromptDataModule(discs(0, empty=3), plain_sam, batch_size=2, seed=0).setup("fit")


def test_mask_in_input_frame_keeps_its_share_of_the_image() -> None:
    mask = np.zeros((60, 90), dtype=bool)
    mask[:30, 30:60] = True
    framing = LongestSide(30)
    framed = framing.mask_to_input(mask)
    expected = torch.zeros(30, 30)
    expected[:10, 10:20] = 1
    assert torch.equal(framed, expected)
    assert torch.equal(framing.mask_to_input(mask.T), expected.T)
    assert LongestSide(14).mask_to_input(np.ones((7, 3), dtype=bool)).sum() == 14 * 6
    squashed = torch.zeros(30, 30)
    squashed[:15, 10:20] = 1
    assert torch.equal(Sam2Framing(30).mask_to_input(mask), squashed)


@pytest.mark.parametrize("framing", [LongestSide, MedSamFraming, SamMed2dFraming, Sam2Framing])
def test_masks_and_prompts_go_the_way_of_the_image(framing) -> None:
    """A bright rectangle is where its mask and its corners are."""
    mask = np.zeros((60, 90), dtype=bool)
    mask[12:36, 30:72] = True
    image = np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 255
    own = framing(128)
    framed, bright = own.mask_to_input(mask).bool(), own.preprocess(image)[0]
    assert ((bright > (bright.max() + bright.min()) / 2) != framed).float().mean() < 0.02
    (x0, y0), (x1, y1) = own.to_input(np.array([[30.0, 12], [72, 36]]), (60, 90))
    rows, columns = torch.nonzero(framed, as_tuple=True)
    tight = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(tight, [x0, y0, x1, y1], atol=0.6)
