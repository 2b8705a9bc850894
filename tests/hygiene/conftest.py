"""A clean dataset, and all checks of a folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from medsam_exp.digests import FileDigests
from medsam_exp.hygiene.examine import Examination, examine
from medsam_exp.hygiene.layout import find_collection
from medsam_exp.hygiene.store import FactStore
from medsam_exp.hygiene.survey import Limits, survey
from tests.clean_data import Clean


@pytest.fixture
def clean(tmp_path: Path) -> Clean:
    return Clean(tmp_path / "data")


@pytest.fixture
def checked() -> Callable[..., Examination]:
    """Check a folder, without any memory."""

    def check(root: Path, near: bool = True, mask_values=None, **options) -> Examination:
        collection = find_collection(root, **options)
        return examine(survey(collection, FactStore(None, FileDigests(), mask_values), Limits()), near=near)

    return check
