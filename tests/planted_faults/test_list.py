import pytest

from tests.conftest import ROOT
from tests.planted_faults.listed import Fault, planted_faults


@pytest.mark.parametrize("fault", planted_faults(), ids=lambda fault: fault.id)
def test_each_fault_has_one_place(fault: Fault) -> None:
    fault.planted((ROOT / fault.file).read_text())
