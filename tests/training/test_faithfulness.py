from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from medsam_exp.metrics.saliency_maps import confidence_drop, confidence_increase
from medsam_exp.training.faithfulness import Faithfulness, to_network_frame
from medsam_exp.training.prediction import PredictModule, batch_loader, read_images
from medsam_exp.types import Sample


class Scans:
    """Five images of several sizes."""

    samples = tuple(Sample(f"s{number}") for number in range(5))

    def read_image(self, sample_id: str) -> np.ndarray:
        number = int(sample_id[1:])
        return np.random.default_rng(number).integers(0, 255, (20 + number, 31, 3), dtype=np.uint8)

    def saliency_map(self, sample_id: str) -> np.ndarray:
        image = self.read_image(sample_id)
        if sample_id == "s4":
            return np.zeros(image.shape[:2], np.float32)
        return np.random.default_rng(9).random(image.shape[:2], dtype=np.float32)


TEXTS = {
    sample.id: ("a dark mass", "a lesion")[: 1 + number % 2] for number, sample in enumerate(Scans.samples)
}
IDS = tuple(TEXTS)


@pytest.fixture
def similarities(small_clip, make_trainer):
    def run(
        ids: tuple[str, ...] = IDS, batch_size: int = 2, threads: int = 0
    ) -> dict[str, tuple[float, float]]:
        found: dict[str, tuple[float, float]] = {}
        clip, scans = small_clip(), Scans()
        answers = Faithfulness(clip, TEXTS, scans.saliency_map, threads)
        module = PredictModule(clip, answers, lambda name, *pair: found.__setitem__(name, pair))
        read = partial(read_images, scans.read_image, clip.preprocess, batch_size)
        loader = batch_loader(ids, read, batch_size=batch_size, threads=0)
        make_trainer().predict(module, loader, return_predictions=False)
        return found

    return run


def test_similarities_are_those_of_each_image_alone(similarities, small_clip) -> None:
    clip, scans, found = small_clip(), Scans(), similarities()
    assert set(found) == set(IDS)
    for name in IDS:
        image = clip.preprocess(scans.read_image(name))[None]
        weights = to_network_frame(scans.saliency_map(name), image.shape[-2:])
        with torch.no_grad():
            text = torch.stack(
                [normalize(clip.encode_text(clip.tokenize([one]))[0], dim=0) for one in TEXTS[name]]
            ).mean(0)
            whole, masked = clip.encode_image(image)[0], clip.encode_image(image * weights)[0]
        assert found[name][0] == pytest.approx(float(cosine_similarity(whole, text, dim=0)), abs=1e-5)
        assert found[name][1] == pytest.approx(float(cosine_similarity(masked, text, dim=0)), abs=1e-5)
        assert found[name][0] != pytest.approx(found[name][1], abs=1e-5)


def test_order_and_batch_mates_do_not_matter(similarities) -> None:
    assert similarities(IDS[::-1])["s2"] == pytest.approx(similarities()["s2"], abs=1e-6)
    assert similarities(batch_size=5)["s2"] == pytest.approx(similarities()["s2"], abs=1e-6)
    assert similarities() == similarities() == similarities(threads=2)


def test_the_map_goes_the_way_of_its_image() -> None:
    whole = np.ones((13, 40), np.float32)
    torch.testing.assert_close(to_network_frame(whole, (8, 8)), torch.ones(8, 8))
    left = np.zeros((13, 40), np.float32)
    left[:, :20] = 1
    squashed = to_network_frame(left, (8, 8))
    torch.testing.assert_close(squashed[:, :3], torch.ones(8, 3))
    torch.testing.assert_close(squashed[:, 5:], torch.zeros(8, 3))
    assert squashed.mean() == pytest.approx(0.5, abs=1e-6)
    one = np.ones((1, 1), np.float32)
    torch.testing.assert_close(to_network_frame(one, (4, 4)), torch.ones(4, 4))


@pytest.mark.parametrize(
    ("original", "masked", "drop", "increase"),
    [
        (0.4, 0.1, 0.75, 0.0),
        (0.4, 0.5, 0.0, 1.0),
        (0.4, 0.4, 0.0, 0.0),
        (0.4, -0.2, 1.5, 0.0),
        (0.0, 0.3, None, 1.0),
        (-0.2, -0.3, None, 0.0),
    ],
)
def test_drop_and_increase(original: float, masked: float, drop: float | None, increase: float) -> None:
    assert confidence_drop(original, masked) == (None if drop is None else pytest.approx(drop))
    assert confidence_increase(original, masked) == increase
