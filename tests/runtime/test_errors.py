import pytest

from medsam_exp.runtime.errors import UserError


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\nb.png is empty", r"a\nb.png is empty"),
        ("x\x1b[31m\x00", r"x\x1b[31m\x00"),
        ("mask\u202egnp.exe", r"mask\u202egnp.exe"),
        ("\ufeffname", r"\ufeffname"),
        ("lone \udc80 byte", r"lone \udc80 byte"),
        ("Läsion 病変, 95\u202f%, می\u200cشود", "Läsion 病変, 95\u202f%, می\u200cشود"),
        ("does not fit:\n  missing:\n    a.weight", "does not fit:\n  missing:\n    a.weight"),
    ],
)
def test_signs_that_cannot_be_seen_are_written_out_and_others_stay(given: str, shown: str) -> None:
    assert str(UserError(given)) == shown
    assert str(UserError(shown)) == shown, "as often as it is raised anew"
