import numpy as np
import pytest
import torch
from scipy import ndimage

from medsam_exp.sam.build import build_tiny_sam
from medsam_exp.sam.families import FAMILIES
from medsam_exp.sam.framing import MedSamFraming
from medsam_exp.sam.model import SamModel
from medsam_exp.types import Prompts, RGBImage, UserError
from tests.sam.references import bilinear

SIZES = [(40, 60), (300, 200), (64, 64), (1, 50), (500, 3)]


def smooth_image(height: int, width: int) -> RGBImage:
    noise = np.random.default_rng(height * 1000 + width).normal(size=(height, width, 3))
    smooth = ndimage.gaussian_filter(noise, (2, 2, 0))
    return (30 + 180 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


def spline_squash(image: RGBImage, side: int) -> np.ndarray:
    """Each channel by cubic splines at the pixels' centres; smoothed before it is shrunk."""
    height, width = image.shape[:2]
    sigma = [max(0, (length / side - 1) / 2) for length in (height, width)]
    rows, columns = ((np.arange(side) + 0.5) * length / side - 0.5 for length in (height, width))
    places = np.meshgrid(rows, columns, indexing="ij")
    channels = []
    for channel in np.moveaxis(image.astype(float), -1, 0):
        smoothed = ndimage.gaussian_filter(channel, sigma, mode="mirror")
        spline = ndimage.map_coordinates(smoothed, places, order=3, mode="mirror")
        channels.append(np.clip(spline, image.min(), image.max()))
    return np.stack(channels)


@pytest.mark.parametrize("size", SIZES)
def test_preprocess_squashes_by_splines_and_scales_to_0_1(size: tuple[int, int]) -> None:
    image = smooth_image(*size)
    ours = MedSamFraming(64).preprocess(image)
    gray = np.floor(spline_squash(image, 64) + 1e-9)
    expected = (gray - gray.min()) / (gray.max() - gray.min())
    assert ours.shape == (3, 64, 64)
    assert ours.dtype == torch.float32
    assert (ours.min(), ours.max()) == (0, 1)
    one_gray_value = 1.01 / np.ptp(gray)
    difference = np.abs(ours.numpy() - expected)
    assert difference.max() < one_gray_value  # a value that is a whole number is cut to either side
    assert (difference > 1e-6).mean() < 0.05


def test_gray_values_are_cut_not_rounded_and_min_max_spans_all_channels() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    image[:4], image[4:, :, 0], image[4:, :, 1:] = 10, 210, 110
    ours = MedSamFraming(8).preprocess(image)
    assert ours[0].unique().tolist() == [0, 1]
    assert ours[1].unique().tolist() == [0, 0.5]


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_flat_image_is_black(value: int) -> None:
    assert not MedSamFraming(32).preprocess(np.full((20, 30, 3), value, np.uint8)).any()


def test_sams_mean_and_padding_play_no_part() -> None:
    ours = FAMILIES["medsam"].framing(64).preprocess(smooth_image(20, 60))
    assert ours[:, -1].std() > 0.01  # with padding, the lower rows would be constant


def test_coordinates_are_scaled_to_each_side() -> None:
    framing = MedSamFraming(1024)
    box = np.array([[0, 0], [300, 200]], np.float32)
    assert framing.to_input(box, (200, 300)).tolist() == [[0, 0], [1024, 1024]]
    assert framing.to_input(np.array([[75.0, 150.0]]), (200, 300)).tolist() == [[256, 768]]


@pytest.mark.parametrize("size", [(23, 31), (9, 50), (1, 7), (16, 16)])
def test_masks_are_probabilities_at_the_original_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    low_res = 4 * torch.randn(2, 3, 16, 16)
    ours = MedSamFraming(64).to_original(low_res, size)
    assert torch.isfinite(ours).all()
    for n in range(2):
        for m in range(3):
            probability = bilinear(1 / (1 + np.exp(-low_res[n, m].double().numpy())), size)
            np.testing.assert_allclose(ours[n, m].sigmoid().numpy(), probability, atol=2e-6)
            clear = abs(probability - 0.5) > 1e-6
            assert np.array_equal((ours[n, m] > 0).numpy()[clear], (probability > 0.5)[clear])


def test_probabilities_and_logits_give_other_masks() -> None:
    """A steep logit at one pixel wins between logits, not between probabilities."""
    low_res = torch.tensor([[[[9.0, -1.0]]]])
    ours = MedSamFraming(64).to_original(low_res, (1, 200)) > 0
    logits = torch.nn.functional.interpolate(low_res, (1, 200), mode="bilinear") > 0
    assert ours.sum() < logits.sum()


def test_a_half_stays_outside_and_the_next_number_inside() -> None:
    probabilities = torch.tensor([0.5, np.nextafter(np.float32(0.5), np.float32(1)).item()])
    assert (probabilities.logit(1e-6) > 0).tolist() == [False, True]


def small_medsam() -> SamModel:
    torch.manual_seed(0)
    return SamModel(build_tiny_sam(), MedSamFraming(256)).eval()


def test_decode_equals_the_published_inference() -> None:
    sam, image = small_medsam(), smooth_image(90, 140)
    box = np.array([[20, 10, 100, 70]], np.float32)
    with torch.no_grad():
        embedding = sam.encode(sam.preprocess(image)[None])
        ((logits, _),) = sam.decode(embedding[0], Prompts(boxes_xyxy=box), (90, 140))
        scaled = torch.as_tensor(box / np.array([140, 90, 140, 90]) * 256, dtype=torch.float)[:, None]
        sparse, dense = sam.prompt_encoder(points=None, boxes=scaled, masks=None)
        low_res, _ = sam.mask_decoder(
            image_embeddings=embedding,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
    expected = bilinear(low_res.sigmoid()[0, 0].double().numpy(), (90, 140))
    np.testing.assert_allclose(logits[0].sigmoid().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("boxes", [None, np.array([[1, 1, 9, 9]], np.float32)])
def test_points_are_refused_in_one_sentence(boxes: np.ndarray | None) -> None:
    points = Prompts(boxes, np.ones((1, 2, 2), np.float32), np.ones((1, 2), np.int64))
    with pytest.raises(UserError, match=r"^This SAM understands boxes only, not points[^\n]*$"):
        list(small_medsam().decode(torch.zeros(128, 16, 16), points, (20, 20)))
