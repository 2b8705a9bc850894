import pytest

from medsam_exp.text.description import Description
from medsam_exp.types import Sample, UserError


def test_each_sample_gets_its_own():
    samples = [Sample("a", "cyst", "a round cyst "), Sample("b", "mass", "a ragged mass")]
    assert Description().bind(samples) == {"a": ("a round cyst",), "b": ("a ragged mass",)}
    assert Description().uses_class_labels


def test_missing_descriptions_are_named_and_counted():
    samples = [
        Sample("good", None, "text"),
        Sample("empty", None, " "),
        *(Sample(f"s{i:02}") for i in range(12)),
    ]
    with pytest.raises(UserError, match=r"13 of 14 samples .*\(empty, s00, .*s08 and 3 more\)") as caught:
        Description().bind(samples)
    assert "s09" not in str(caught.value)
    assert "good" not in str(caught.value)
