"""Case names: safe for file systems, shells and regular expressions, one for each id."""

import re

import pytest

from medsam_exp.nnunet.raw_dataset import case_name
from tests.nnunet.cases import NASTY


def test_every_nasty_id_has_a_safe_name_of_its_own() -> None:
    names = [case_name(sample_id) for sample_id in NASTY]
    assert len({name.casefold() for name in names}) == len(NASTY)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]*_[0-9a-f]{12}", name) for name in names)
    assert max(map(len, names)) == 53


@pytest.mark.parametrize(
    ("sample_id", "start"),
    [
        ("benign (12)", "benign-12_"),
        ("Läsion 3", "lasion-3_"),
        ("病変", "case_"),
        ("img_7@lung", "img-7-lung_"),
    ],
)
def test_a_reader_recognises_the_id(sample_id: str, start: str) -> None:
    assert case_name(sample_id).startswith(start)


def test_names_stay_the_same() -> None:
    """Stored datasets refer to them."""
    assert case_name("benign (12)") == "benign-12_3676f9aa974a"
