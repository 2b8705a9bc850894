import pytest

from medsam_exp.data.captions import clean_caption


@pytest.mark.parametrize(
    "text",
    [
        "Chest x-ray: 2.6×1.9 cm mass (arrow), 5% of T2WI; p<0.05 and HR > 3/min + fever?",
        "Coupe axiale pondérée T1, séquence où l'arc postérieur est hétérogène",
        "Uptake of 3×10⁻³ mm²/s, 5×10^9/L, 37.5 °C ± 0.2, TNF-α, 10 μm, [18F]FDG, S&R",
        "Θώρακας 胸部 X線 сердце",
        "a <b and c> d, lesion <5 mm and >3 mm, points <A> and <B>",
    ],
)
def test_medical_text_stays_to_the_letter(text: str) -> None:
    assert clean_caption(text) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  two\t words \n", "two words"),
        ("7\u2009mm, 3\xa0months", "7 mm, 3 months"),
        ("T<sub>2</sub> image<br/>of <B class='x'>bone</B>", "T2 image of <B class='x'>bone</B>"),
        ("<p>H<sub>2</sub>O</p><!-- note --><DIV>fluid</DIV>", "H2O fluid"),
        ("<a href=\"x.html\" id='y'>mass</a> here", "mass here"),
        ("&lt; 5 mm &amp; more&nbsp;here &#233;", "< 5 mm & more here é"),
        ("&amp;lt;p&amp;gt;deep", "deep"),
        ("“Case” 2—CT of Hoffa’s fat pad, −85 HU…", '"Case" 2 - CT of Hoffa\'s fat pad, -85 HU...'),
        ("Avizo®7 (*) of patient #1 ▶ see [ ]", "Avizo 7 of patient 1 see"),
        ("((*))ring", "ring"),
        ("co\u00adop\u200berate\x00d\x07", "cooperate d"),
        ("ﬁbrous", "fibrous"),
        ("e\u0301tude x\u0304", "étude x\u0304"),
        (r"\documentclass[12pt]{minimal} x \end{document}90% of {it}", "90% of it"),
        ("*** ®", ""),
        ("", ""),
    ],
)
def test_markup_and_symbols_go(text: str, plain: str) -> None:
    assert clean_caption(text) == plain


@pytest.mark.parametrize("text", ["<<b>p>x", "&amp;amp;lt;b>y</b>", "(([*]))", "—–—", "a &#38;#60; b", "℃…≦"])
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean_caption(clean_caption(text)) == clean_caption(text)
