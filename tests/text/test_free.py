import pytest

from medsam_exp.text.free import FreeText
from medsam_exp.types import Sample, UserError


def test_every_sample_gets_the_text():
    source = FreeText("une masse sombre, à gauche\n")
    assert source.bind([Sample("a"), Sample("b")]) == dict.fromkeys("ab", ("une masse sombre, à gauche",))
    assert not source.uses_class_labels


def test_empty_text():
    with pytest.raises(UserError, match=r"text\.text is empty"):
        FreeText(" \n")
