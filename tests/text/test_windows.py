"""Long texts in pieces: nothing is lost, nothing is longer than asked, short texts stay."""

import pytest

from medsam_exp.text.free import FreeText
from medsam_exp.text.windows import Windows
from medsam_exp.types import Sample, UserError

SAMPLE = Sample("a")
REPORT = "A round mass of 3.5 cm. It is dark; its border is sharp.\nNo effusion. " + " ".join(
    f"word{n}" for n in range(25)
)


def pieces(text: str, words: int) -> tuple[str, ...]:
    return Windows(FreeText(text), words).bind([SAMPLE])["a"]


def test_a_short_text_stays_as_it_is() -> None:
    assert pieces("a mass. It is dark", 5) == ("a mass. It is dark",)


def test_sentences_are_kept_together_as_far_as_they_fit() -> None:
    found = pieces(REPORT, 10)
    assert found[:3] == (
        "A round mass of 3.5 cm. It is dark;",
        "its border is sharp. No effusion.",
        "word0 word1 word2 word3 word4 word5 word6 word7",
    )
    assert [len(piece.split()) for piece in found] == [9, 6, 8, 9, 8]


@pytest.mark.parametrize("words", [3, 7, 40])
def test_no_word_is_lost_and_no_piece_is_too_long(words: int) -> None:
    found = pieces(REPORT, words)
    assert " ".join(found).split() == REPORT.split()
    assert max(len(piece.split()) for piece in found) <= words


def test_labels_and_errors_are_those_of_the_source() -> None:
    assert not Windows(FreeText("a"), 3).uses_class_labels
    with pytest.raises(UserError, match=r"text\.words is 0"):
        Windows(FreeText("a"), 0)


def test_a_text_without_spaces_is_divided_by_sentences_and_characters() -> None:
    report = "右肺上叶可见一个圆形肿块。" + "边" * 25 + "。未见胸腔积液。"
    found = pieces(report, 14)
    assert "".join(found) == report
    assert found[0] == "右肺上叶可见一个圆形肿块。"
    assert max(map(len, found)) <= 14
