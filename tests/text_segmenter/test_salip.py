"""SaLIP and its parts against segment-anything's own generator and a search region by region."""

import copy

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from medsam_exp.clip.load import load_clip
from medsam_exp.sam.build import build_tiny_sam
from medsam_exp.sam.everything import Everything, Region
from medsam_exp.sam.fusion.map_agreement import MapAgreement
from medsam_exp.sam.fusion.single import SingleMask
from medsam_exp.sam.model import SamModel
from medsam_exp.text_segmenter.salip import SaLIP, load_salip
from medsam_exp.types import Mask, Prompts, RGBImage, UserError

SIZE = (60, 90)
TEXTS = ["a bright round mass", "a lesion"]


def picture() -> RGBImage:
    """Three disks on noise."""
    image = np.random.default_rng(0).integers(0, 60, (*SIZE, 3), np.uint8)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for y, x, radius, value in ((20, 20, 9, 200), (40, 60, 13, 150), (15, 70, 6, 250)):
        image[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = value
    return image


class Places(nn.Module):
    """In place of a prompt encoder: the place of each prompt in the input frame."""

    embed_dim, image_embedding_size = 128, (16, 16)

    def get_dense_pe(self) -> Tensor:
        return torch.zeros(1, 128, 16, 16)

    def forward(self, points, boxes, masks) -> tuple[Tensor, Tensor]:
        places = points[0] if boxes is None else boxes.unflatten(-1, (2, 2)).mean(1, keepdim=True)
        return places, torch.zeros(len(places), 128, 16, 16)


class Disks(nn.Module):
    """In place of a mask decoder: three disks around each prompt, or one, of different trust and steepness."""

    def forward(
        self, image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings, multimask_output
    ) -> tuple[Tensor, Tensor]:
        centre = sparse_prompt_embeddings[:, 0].float() / 4
        rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
        distance = ((columns - centre[:, :1, None]) ** 2 + (rows - centre[:, 1:, None]) ** 2).sqrt()
        radii = (3 + 2 * centre.sum(1).sin())[:, None] * torch.tensor([1.0, 1.7, 2.9])
        steep = 0.4 + 12 * torch.tensor([1.0, 0.3, 0.1]) * centre.prod(1).cos().abs()[:, None]
        logits = steep[..., None, None] * (radii[..., None, None] - distance[:, None])
        trust = 0.5 + 0.5 * (radii * centre.sum(1)[:, None]).sin()
        kept = slice(0, 3 if multimask_output else 1)
        return logits[:, kept], trust[:, kept]


@pytest.fixture(scope="module")
def metas() -> Sam:
    """segment-anything's own class around `Places` and `Disks`."""
    sam = build_tiny_sam().eval()
    sam.prompt_encoder, sam.mask_decoder = Places(), Disks()
    return sam


@pytest.fixture(scope="module")
def sam(metas: Sam) -> SamModel:
    return SamModel(copy.deepcopy(metas)).eval()


def placed(region: Region) -> Mask:
    """The (H, W) mask of a region."""
    mask = np.zeros(SIZE, bool)
    x0, y0, x1, y1 = region.box_xyxy
    mask[y0:y1, x0:x1] = region.mask
    return mask


@pytest.mark.parametrize(("iou", "stability"), [(0.0, 0.0), (0.3, 0.5), (0.5, 0.8)])
def test_everything_is_segment_anythings(metas: Sam, sam: SamModel, iou: float, stability: float) -> None:
    generator = SamAutomaticMaskGenerator(
        metas, points_per_side=6, pred_iou_thresh=iou, stability_score_thresh=stability, box_nms_thresh=0.7
    )
    expected = generator.generate(picture())
    with torch.no_grad():
        embedding = sam.encode(sam.preprocess(picture())[None])[0]
    found = Everything(6, iou, stability, 0.7)(sam, embedding, SIZE)
    assert len(found.regions) == len(expected)
    assert 5 < len(expected) < 108
    for region, value, theirs in zip(found.regions, found.iou_predictions.tolist(), expected, strict=True):
        mask = placed(region)
        assert np.mean(mask != theirs["segmentation"]) <= 2 / mask.size
        assert region.area == mask.sum()
        x, y, width, height = theirs["bbox"]
        np.testing.assert_allclose(region.box_xyxy, [x, y, x + width + 1, y + height + 1], atol=1)
        assert value == pytest.approx(theirs["predicted_iou"], abs=1e-4)


def test_the_regions_nearest_to_the_mean_of_the_texts_are_drawn(sam: SamModel) -> None:
    clip, image = load_clip("tiny"), picture()
    salip = load_salip(sam, SingleMask(), clip, 5, 0.0, 0.0, 0.7, max_area=0.5, regions=2)
    found = salip.segment(salip.preprocess(image), TEXTS, SIZE)
    with torch.no_grad():
        embedding = sam.encode(sam.preprocess(image)[None])[0]
        proposals = Everything(5, 0.0, 0.0, 0.7)(sam, embedding, SIZE)
        texts = torch.stack([clip.encode_text(clip.tokenize([text]))[0] for text in TEXTS]).mean(0)
        scored = []
        for region in proposals.regions:
            mask, (x0, y0, x1, y1) = placed(region), region.box_xyxy
            if not 0 < mask.sum() <= 0.5 * mask.size:
                continue
            cut = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
            for y, x in np.argwhere(mask):
                cut[y - y0, x - x0] = image[y, x]
            region = clip.encode_image(clip.preprocess(cut)[None])
            scored.append((float(cosine_similarity(region, texts[None])), [x0, y0, x1, y1]))
        assert len(scored) > 3
        best = sorted(scored, reverse=True)[:2]
        united = np.zeros(SIZE, bool)
        for _, box in best:
            prompts = Prompts(np.array([box], np.float32))
            united |= next(iter(sam.decode(embedding, prompts, SIZE)))[0][0].numpy() > 0
    assert found.boxes_xyxy == [box for _, box in best]
    assert found.scores == pytest.approx([(1 + cosine) / 2 for cosine, _ in best], abs=1e-4)
    assert found.presence == max(found.scores)
    assert np.array_equal(found.mask.numpy(), united)


def test_where_nothing_is_proposed_the_mask_is_empty(sam: SamModel) -> None:
    salip = load_salip(sam, SingleMask(), load_clip("tiny"), 2, 1.0, 1.0, 0.7, max_area=0.5, regions=1)
    found = salip.segment(salip.preprocess(picture()), TEXTS, SIZE)
    assert not found.mask.any()
    assert (found.presence, found.scores) == (0.0, [])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"max_area": 0.0}, "max_area=0.0"),
        ({"regions": 0}, "regions=0"),
        ({"fusion": MapAgreement()}, "saliency map"),
    ],
)
def test_what_makes_no_sense_is_refused(sam: SamModel, changed: dict[str, object], said: str) -> None:
    arguments = {"fusion": SingleMask(), "max_area": 0.5, "regions": 1} | changed
    with pytest.raises(UserError, match=said):
        SaLIP(sam, clip=load_clip("tiny"), everything=Everything(2, 0, 0, 0.7), **arguments)


@pytest.mark.parametrize("numbers", [(0, 0.5, 0.5, 0.5), (2, 1.5, 0.5, 0.5), (2, 0.5, 0.5, -1)])
def test_a_grid_that_makes_no_sense_is_refused(numbers: tuple[int, float, float, float]) -> None:
    with pytest.raises(UserError, match="must be"):
        Everything(*numbers)
