"""Cleans captions of image-text pairs: markup and special characters removed.

MedCLIP-SAMv2 (arXiv:2409.19483) says that special characters were removed and captions trimmed, not which characters
these are; the choice here keeps what medical text needs:

* letters of any script with their accents, digits, powers and fractions, and the marks of `_KEPT`;
* curly quotes, long dashes and other spellings of such a mark become the mark itself;
* HTML tags and entities are resolved, formulas in LaTeX's documents are removed;
* every other symbol, control character and run of white space becomes one space, invisible characters nothing;
* empty brackets are removed.
"""

import html
import re
import unicodedata

_KEPT = ".,;:!?%‰/()[]+-'\"<>=&^~×÷±°·≤≥≈⁺⁻"
"""Marks that stay as they are."""

_SPELLINGS = {
    "'": "‘’‚‛ʼ´`′＇",
    '"': "“”„‟«»″",
    "-": "‐‑‒–−",
    " - ": "—―",
    "~": "∼",
    "≤": "≦⩽",
    "≥": "≧⩾",
    "Δ": "∆",
    "...": "…",
    "°C": "℃",
}
_INVISIBLE = "Cf"  # Unicode's category of soft hyphens, zero-width spaces and the like
_LIGATURES = range(0xFB00, 0xFB07)  # "ﬁ" and its kin, left by PDF files

_ENTITY = re.compile(r"&(?:#\d+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")
_LATEX = re.compile(r"\\documentclass.*?\\end\{document\}", re.DOTALL)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_INLINE = "[abiu]|(?i:abbr|bold|em|font|italic|small|span|strong|sub|sup)"
_BLOCK = "p|(?i:br|center|div|h[1-6]|hr|img|li|ol|table|tbody|td|th|tr|ul|xref)"
# Known tags with attributes that look like attributes, so that "<5 mm" and "a <b and c> d" stay.
_TAG = re.compile(
    rf"</?(?:(?P<inline>{_INLINE})|{_BLOCK})(?:\s+[\w:-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s<>]+))*\s*/?>"
)
_EMPTY_BRACKETS = re.compile(r"\(\s*\)|\[\s*\]")


class _Characters(dict[int, str]):
    """What becomes of each character, decided when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if code in _LIGATURES:
            self[code] = unicodedata.normalize("NFKC", character)
        elif category == _INVISIBLE:
            self[code] = ""
        else:
            self[code] = character if category[0] in "LMN" or character in _KEPT else " "
        return self[code]


_CHARACTERS = _Characters({ord(other): mark for mark, others in _SPELLINGS.items() for other in others})


def clean_caption(text: str) -> str:
    """Plain text of a caption; cleaning what is clean changes nothing.

    Args:
        text: a caption as somebody stored it.

    Returns:
        The caption without markup and special characters (see the module's text); empty when nothing is left.
    """
    while (cleaner := _cleaned_once(text)) != text:  # markup can hide behind entities, brackets in brackets
        text = cleaner
    return text


def _cleaned_once(text: str) -> str:
    text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    text = _COMMENT.sub(" ", _LATEX.sub(" ", text))
    text = _TAG.sub(lambda found: "" if found["inline"] else " ", text)
    text = unicodedata.normalize("NFC", text).translate(_CHARACTERS)
    return " ".join(_EMPTY_BRACKETS.sub(" ", text).split())
