from pathlib import Path

import pytest

from medsam_exp.config.schema import Limits as Schema
from medsam_exp.runtime import limits as module
from medsam_exp.runtime.conf_folder import conf_folder
from medsam_exp.runtime.limits import MIB, limits, refuse_beyond, refuse_long_text, use_limits
from medsam_exp.runtime.yaml_text import parsed_yaml
from medsam_exp.types import UserError

FILE = parsed_yaml((conf_folder() / "limits" / "default.yaml").read_text())


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_in_force", [])


def test_the_files_limits_hold_until_others_are_put_in_force() -> None:
    assert vars(limits()) == FILE
    use_limits(FILE | {"image_mib": 1})
    assert limits().image_mib == 1


def test_the_schema_has_all_of_them() -> None:
    assert list(Schema.__annotations__) == list(FILE)


@pytest.mark.parametrize("value", [0, -1, True, "many", None, float("nan")])
def test_a_limit_is_a_positive_number(value: object) -> None:
    with pytest.raises(UserError, match=r"^limits\.frames is .*must be a number above 0$"):
        use_limits(FILE | {"frames": value})


def test_what_is_beyond_is_named_with_the_limit(tmp_path: Path) -> None:
    refuse_beyond("a.png", 256 * MIB, "image_mib", MIB, "shrink it")
    with pytest.raises(UserError) as caught:
        refuse_beyond("a.png", 1000 * MIB, "image_mib", MIB, "shrink it")
    said = "a.png takes 1,000 MiB, more than limits.image_mib=256: shrink it, or raise the limit"
    assert str(caught.value) == said
    use_limits(FILE | {"text_mib": 1e-6})
    (tmp_path / "a.csv").write_text("ab")
    with pytest.raises(UserError, match=r"a\.csv takes"):
        refuse_long_text(tmp_path / "a.csv")


def test_what_grows_a_thousandfold_is_a_bomb() -> None:
    assert limits().is_bomb(1 << 20, 1 << 30)
    assert not limits().is_bomb(1 << 10, 1 << 20), "it stays small"
    assert not limits().is_bomb(1 << 28, 1 << 30), "it grows fourfold"
