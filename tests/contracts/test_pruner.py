"""What every pruner promises, over all YAMLs of conf/pruner."""

import optuna
import pytest

from medsam_exp.config.build import build
from medsam_exp.testing.training import check_pruner
from medsam_exp.types import UserError
from tests.compose import choices, composed

CHOICES = choices("pruner")
NUMBERS = [
    (choice, key) for choice in CHOICES for key in composed(f"pruner={choice}").pruner if key != "_target_"
]


@pytest.mark.parametrize("choice", CHOICES)
def test_contract(choice: str) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    check_pruner(composed(f"pruner={choice}").pruner)


@pytest.mark.parametrize(("choice", "key"), NUMBERS)
def test_a_number_out_of_range_is_refused(choice: str, key: str) -> None:
    with pytest.raises(UserError, match=key):
        build(composed(f"pruner={choice}").pruner, **{key: 0})
