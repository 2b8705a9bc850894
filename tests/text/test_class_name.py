import pytest

from medsam_exp.text.class_name import ClassName
from medsam_exp.types import Sample, UserError


def test_every_sample_gets_the_target():
    source = ClassName(" breast tumor ")
    assert source.bind([Sample("b", "benign"), Sample("a")]) == {
        "b": ("breast tumor",),
        "a": ("breast tumor",),
    }
    assert source.bind([]) == {}
    assert not source.uses_class_labels


@pytest.mark.parametrize("target", [None, "", "  "])
def test_no_target(target):
    with pytest.raises(UserError, match=r"data\.target is not set"):
        ClassName(target)
