"""A clean dataset, and all checks of a folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from medsam_exp.curation.quality.checks import Examination, examine
from medsam_exp.curation.quality.duplicates import find_duplicates
from medsam_exp.curation.quality.facts import Limits
from medsam_exp.curation.quality.layout import find_collection
from medsam_exp.curation.quality.measure import FactStore, measure_dataset
from medsam_exp.runtime.digests import FileDigests
from tests.clean_data import Clean


@pytest.fixture
def clean(tmp_path: Path) -> Clean:
    return Clean(tmp_path / "data")


@pytest.fixture
def checked() -> Callable[..., Examination]:
    """Check a folder, without any memory."""

    def check(root: Path, near: bool = True, mask_values=None, **options) -> Examination:
        listing = find_collection(root, **options)
        dataset = measure_dataset(listing, FactStore(None, FileDigests(), mask_values), Limits())
        return examine(dataset, find_duplicates(dataset.images, near=near))

    return check
