from collections.abc import Callable

import numpy as np
import torch

from medsam_exp.clip.model import ClipModel
from medsam_exp.saliency.geometry import Squash
from medsam_exp.saliency.intensity import Intensity

to_original_frame = Squash(torch.from_numpy).to_original_frame


def test_map_of_a_gray_image_is_the_image(make_tiny: Callable[[str], ClipModel]) -> None:
    clip = make_tiny("open_clip")
    gray = np.linspace(0, 255, 32, dtype=np.uint8)[None, :].repeat(32, 0)
    batch = torch.stack([clip.preprocess(np.stack([gray] * 3, -1)), torch.zeros(3, 32, 32)])
    relevance = Intensity()(clip, batch, torch.zeros(2, 24), [torch.Generator(), torch.Generator()])
    assert relevance.shape == (2, 32, 32)
    np.testing.assert_allclose(to_original_frame(relevance[0], (32, 32)), gray / 255, atol=1e-5)
    assert not to_original_frame(relevance[1], (32, 32)).any()
