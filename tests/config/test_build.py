"""What a method refuses is said by the keys of where it stands."""

import pytest

from medsam_exp.config.build import build
from medsam_exp.types import UserError
from tests.compose import composed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["saliency=rise", "saliency.share=2"], r"^saliency\.share must be"),
        (
            ["saliency=pad", "saliency@saliency.inner=rise", "saliency.inner.share=2"],
            r"^saliency\.inner\.share must be",
        ),
        (
            ["saliency=pad", "saliency@saliency.inner=proxyclip", "saliency.inner.beta=-1"],
            r"^saliency\.inner\.gamma=3\.0 must be above 0, and saliency\.inner\.beta=-1 at least 0\.$",
        ),
        (
            [
                "saliency=pad",
                "saliency@saliency.inner=affinity",
                "saliency@saliency.inner.inner=intensity",
            ],
            r"^saliency\.inner\.inner is Intensity.*saliency@saliency\.inner\.inner=patch_text",
        ),
        (["prompt=jittered_boxes", "prompt.near.jitter=0"], r"^prompt\.near\.jitter is 0"),
    ],
)
def test_keys_are_those_that_can_be_typed(options: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        build(composed(*options)[options[0].partition("=")[0]])
