from functools import partial

import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from medsam_exp.sam.framing import MedSamFraming
from medsam_exp.sam.model import SamModel
from medsam_exp.training.sam_data import MaskPromptBatch, MaskPromptDataModule
from medsam_exp.training.sam_training import SamTrainingModule, dice, mask_loss
from medsam_exp.types import UserError
from tests.sam.small_networks import small_model


@pytest.fixture
def sam() -> SamModel:
    """Meta's classes at 64 x 64 pixels, with 0.1 million parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SamModel(
            Sam(
                image_encoder=ImageEncoderViT(
                    img_size=64,
                    patch_size=8,
                    embed_dim=32,
                    depth=2,
                    num_heads=2,
                    norm_layer=partial(nn.LayerNorm, eps=1e-6),
                    use_rel_pos=True,
                    out_chans=32,
                ),
                prompt_encoder=PromptEncoder(
                    embed_dim=32, image_embedding_size=(8, 8), input_image_size=(64, 64), mask_in_chans=4
                ),
                mask_decoder=MaskDecoder(
                    transformer_dim=32,
                    transformer=TwoWayTransformer(depth=2, embedding_dim=32, num_heads=2, mlp_dim=64),
                    iou_head_hidden_dim=32,
                ),
            )
        )


@pytest.mark.integration
def test_learns_a_few_images_from_every_kind_of_prompt(sam, discs, make_trainer, cosine) -> None:
    class Known(MaskPromptDataModule):
        """Validates on what it trains on."""

        def setup(self, stage: str) -> None:
            super().setup(stage)
            self._val_ids = self._train_ids

    data = Known(discs(4), sam, batch_size=4, seed=0, held_out=0.0, missing_share=0.0)
    module = SamTrainingModule(sam, partial(torch.optim.AdamW, lr=4e-3, weight_decay=0.01), cosine)
    trainer = make_trainer(max_epochs=160, check_val_every_n_epoch=160)
    trainer.fit(module, datamodule=data)
    seen = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert min(seen["val/dsc_box"], seen["val/dsc_points"], seen["val/dsc_both"]) > 0.9, seen
    batch = next(iter(data.val_dataloader()))
    with torch.no_grad():
        for logits, iou_prediction in module._decode(batch).values():
            iou = ((logits > 0) & batch.mask.bool()).sum((1, 2)) / ((logits > 0) | batch.mask.bool()).sum(
                (1, 2)
            )
            assert (iou_prediction - iou).abs().max() < 0.15


def batch(size: int = 2, side: int = 64) -> MaskPromptBatch:
    mask = torch.zeros(size, side, side)
    mask[:, 10:30, 20:40] = 1
    return MaskPromptBatch(
        image=torch.randn(size, 3, side, side, generator=torch.Generator().manual_seed(0)),
        mask=mask,
        boxes=torch.tensor([[18.0, 9, 42, 33]]).repeat(size, 1),
        points=torch.tensor([[[25.0, 15], [35, 22], [0, 0]]]).repeat(size, 1, 1),
        point_labels=torch.tensor([[1, 1, -1]]).repeat(size, 1),
    )


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_the_gradient_reaches_encoder_prompts_and_decoder(sam, cosine) -> None:
    module = SamTrainingModule(sam, torch.optim.AdamW, cosine)
    module.training_step(batch()).backward()
    reached = {name for name, parameter in sam.named_parameters() if parameter.grad is not None}
    for name in ("image_encoder.patch_embed.proj.weight", "mask_decoder.iou_token.weight"):
        assert name in reached
    assert sum("point_embeddings" in name for name in reached) == 4


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("architecture", ["sam_hq_b", "sam2_tiny", "edgetam", "sam3_tracker", "mobile_sam"])
def test_every_weight_of_a_network_is_reached_or_known_to_be_of_no_mask(architecture: str, cosine) -> None:
    """Else training on several devices would wait for gradients that never come."""
    sam = small_model(architecture)
    module = SamTrainingModule(sam, torch.optim.AdamW, cosine)
    module.on_fit_start()
    module.training_step(batch(side=sam.image_size)).backward()
    left = {name for name, each in sam.named_parameters() if each.requires_grad and each.grad is None}
    assert not left


def test_a_sam_that_takes_no_points_is_trained_on_boxes(sam, cosine) -> None:
    sam.framing = MedSamFraming(64)
    assert SamTrainingModule(sam, torch.optim.AdamW, cosine)._decode(batch()).keys() == {"box"}


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_a_loss_that_is_not_finite_stops_the_training(sam, cosine) -> None:
    module = SamTrainingModule(sam, torch.optim.AdamW, cosine)
    with torch.no_grad():
        sam.image_encoder.pos_embed.fill_(float("nan"))
    with pytest.raises(
        UserError, match=r"mask loss is nan before the first step.*first is sam\.image_encoder\.pos_embed"
    ):
        module.training_step(batch())


def test_loss_is_smallest_for_the_true_mask_and_an_honest_guess() -> None:
    mask = torch.zeros(2, 8, 8)
    mask[:, 2:5, 1:6] = 1
    right, wrong = (2 * mask - 1) * 20, (1 - 2 * mask) * 20
    assert mask_loss(right, torch.ones(2), mask) < 1e-6
    assert mask_loss(right, torch.zeros(2), mask).item() == pytest.approx(1, abs=1e-6)
    assert mask_loss(wrong, torch.zeros(2), mask).item() == pytest.approx(20 + 1, abs=0.05)


def test_loss_equals_its_parts_pixel_by_pixel() -> None:
    generator = torch.Generator().manual_seed(1)
    logits, guess = torch.randn(3, 6, 5, generator=generator), torch.rand(3, generator=generator)
    mask = (torch.rand(3, 6, 5, generator=generator) > 0.6).float()
    total = 0.0
    for one, truth, own in zip(logits, mask, guess, strict=True):
        entropy = inside = soft = both = either = 0.0
        for value, true in zip(one.flatten().tolist(), truth.flatten().tolist(), strict=True):
            chance = torch.tensor(value).sigmoid().item()
            entropy -= torch.tensor(chance if true else 1 - chance).log().item() / truth.numel()
            inside, soft = inside + chance * true, soft + chance
            both, either = both + ((value > 0) and true == 1), either + ((value > 0) or true == 1)
        smooth_dice = (2 * inside + 1) / (soft + truth.sum().item() + 1)
        overlap = (2 * both + 1) / (both + either + 1)
        total += (entropy + 1 - smooth_dice + (own.item() - overlap / (2 - overlap)) ** 2) / 3
    assert mask_loss(logits, guess, mask).item() == pytest.approx(total, abs=1e-5)


def test_dice_of_empty_full_and_half_masks() -> None:
    full = torch.ones(1, 10, 10)
    half = full.clone()
    half[:, :5] = 0
    assert dice(full, full) == dice(0 * full, 0 * full) == 1
    assert dice(half, full).item() == pytest.approx(2 * 50 / 150, abs=0.01)
    assert dice(0 * full, full) < 0.01
