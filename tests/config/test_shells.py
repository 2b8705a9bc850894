"""Words arrive from a shell as they were; PowerShell's rules are read by a parser of their own."""

import shlex
import subprocess

import pytest

from medsam_exp.config.shells import for_powershell, for_shell, in_every_shell

WORDS = [
    "saliency=m2ib,gradcam",
    "stages=[a,b]",
    "+sweep=[a,b]",
    "text.text=a dark mass, irregular (3 cm) = lesion",
    "text.text='a, b','c'",
    "text.text='crohn\\'s'",
    "text.text=$HOME `x` !",
    'text.text=a "dark" mass',
    "text.text=Crohn\u2019s",
    "text.text=\u201cdark\u201d",
    "data.path=Größe/benign (1).png",
    "ends with \\",
    "it's",
]


def read_by_powershell(line: str) -> str:
    """One argument by the rules of about_Quoting_Rules, for the quotes that are used here."""
    value, rest = "", list(line)
    while rest:
        sign = rest.pop(0)
        if sign in "'\u2018\u2019\u201a\u201b":
            while (sign := rest.pop(0)) not in "'\u2018\u2019\u201a\u201b" or (
                rest and rest[0] in "'\u2018\u2019\u201a\u201b" and rest.pop(0)
            ):
                value += sign
        elif sign in '"\u201c\u201d\u201e':
            while (sign := rest.pop(0)) not in '"\u201c\u201d\u201e':
                assert sign not in "`$", "which have a meaning there"
                value += sign
        else:
            assert sign not in " `$(){};&|<>", "which end a word there"
            value += sign
    return value


@pytest.mark.parametrize("word", WORDS)
def test_every_shell_gives_the_word(word: str) -> None:
    assert shlex.split(for_shell(word)) == [word]
    told = subprocess.run(["bash", "-c", f"printf %s {for_shell(word)}"], capture_output=True, check=True)
    assert told.stdout.decode() == word
    assert read_by_powershell(for_powershell(word)) == word


def test_a_line_is_told_twice_only_where_it_differs() -> None:
    assert in_every_shell("seed=1", "text.text=a, b") == 'seed=1 text.text="a, b"'
    assert in_every_shell("a='$x'") == "'a='\"'\"'$x'\"'\"'' (in PowerShell 'a=''$x''')"
