"""The generated reference names every group, choice and setting, and is the same each time."""

import re
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from medsam_exp.runtime.conf_folder import conf_folder
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "docs" / "_ext"))
from commented_yaml import read_commented_yaml
from config_pages import NO_CHOICES, reference_pages
from docstrings import parsed
from method_facts import code_of, code_rows

CONF = conf_folder()
FILES = sorted(path for path in CONF.rglob("*.yaml") if path.parent != CONF)
CHOICES = [path for path in FILES if path.parent.relative_to(CONF).as_posix() not in NO_CHOICES]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return reference_pages(CONF)


def page_of(path: Path) -> str:
    return f"{path.parent.relative_to(CONF).as_posix().replace('/', '-')}.md"


def test_every_choice_has_a_section_with_its_own_words(pages: dict[str, str]) -> None:
    assert CHOICES
    lacking = {path.relative_to(CONF).as_posix(): _not_said(pages[page_of(path)], path) for path in CHOICES}
    assert not {name: missing for name, missing in lacking.items() if missing}


def _not_said(page: str, path: Path) -> list[str]:
    """What the page's section about a choice lacks of its file: the first comment, and the names of keys."""
    sections = re.findall(rf"^## `{re.escape(path.stem)}`$\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    if len(sections) != 1:
        return [f"{len(sections)} sections instead of one"]
    first_comment = next(
        line for line in path.read_text().splitlines() if line.startswith("# ") and "@package" not in line
    ).removeprefix("# ")
    keys = set(yaml.safe_load(path.read_text())) - {"defaults", "hydra", "_target_", "_partial_"}
    said = sections[0].replace("\\", "")
    return [
        *([] if first_comment in said else [first_comment]),
        *(key for key in sorted(keys) if f"`{key}" not in sections[0]),
    ]


@pytest.mark.parametrize(
    ("page", "choice", "facts"),
    [
        (
            "saliency.md",
            "gem",
            [
                "https://arxiv.org/abs/2312.00878",
                "Needs a plain vision transformer",
                "On drawn scans",
                "its authors' is [WalBouss/GEM](https://github.com/WalBouss/GEM), licence: MIT.",
                "{download}`conf/saliency/gem.yaml </../conf/saliency/gem.yaml>`",
            ],
        ),
        ("sam.md", "vit_b", ["375.0 MB; licence: Apache-2.0.", "0.12 s a box, 1.6 GB at most"]),
        ("clip.md", "biomedclip", ["licence: MIT", "195.9 M parameters", "GB at most, loading included"]),
        ("text_segmenter.md", "sam3", ["licence: SAM License", "By hand: gated"]),
    ],
)
def test_a_section_has_the_facts_that_other_files_know(
    pages: dict[str, str], page: str, choice: str, facts: list[str]
) -> None:
    section = pages[page].partition(f"## `{choice}`\n")[2].partition("\n## ")[0]
    assert [fact for fact in facts if fact not in section] == []


def test_every_row_of_the_licences_of_code_is_of_a_choice_and_the_first_that_fits() -> None:
    names = {(path.parent.name, path.stem): code_of(path.parent.name, path.stem) for path in CHOICES}
    for row in code_rows():
        fitting = [
            said
            for (group, name), said in names.items()
            if group == row["group"] and fnmatch(name, row["choice"])
        ]
        assert any(row["code"] in said and row["licence"] in said for said in fitting), row


def test_every_comment_of_a_choice_is_shown(pages: dict[str, str]) -> None:
    shown = {name: re.sub(r"\s+", " ", page.replace("\\", "")) for name, page in pages.items()}
    assert not [
        f"{path.relative_to(CONF).as_posix()}: {setting.name}"
        for path in CHOICES
        for setting in read_commented_yaml(path).settings
        if setting.comment not in shown[page_of(path)]
    ]


def test_every_group_stands_in_the_overview(pages: dict[str, str]) -> None:
    for path in CHOICES:
        group = path.parent.relative_to(CONF).as_posix()
        assert f"[`{group}`]" in pages["index.md"]
        assert f"[`{path.stem}`]({page_of(path)}#{path.stem})" in pages["index.md"]


def test_the_choice_of_a_bare_run_is_said(pages: dict[str, str]) -> None:
    assert "Default: `saliency=m2ib`." in pages["saliency.md"]
    assert "`saliency=m2ib` (default)" in pages["saliency.md"]


def test_arguments_come_from_the_code_and_numbers_from_the_file(pages: dict[str, str]) -> None:
    (beta,) = re.findall(
        r"^`beta`: `1\.0`\n: (.*compression against relevance.*released.*)$", pages["saliency.md"], re.M
    )[:1]
    assert "larger" in beta


def test_equal_files_give_equal_pages(pages: dict[str, str]) -> None:
    assert reference_pages(CONF) == pages


def test_comments_are_read_as_a_person_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "some.yaml"
    path.write_text(
        "# @package _global_\n# Its first line,\n# and its second.\n_target_: some.Thing\n"
        "plain: 1.0e-6  # from the paper\n"
        '# Said above\n# in two lines.\nquoted: "a # in quotes"\nnested:  # of the block\n  inner: [1, 2]  # a list\n'
        "  other: {a: b}\nlong:\n  [1,\n   2]  # beside the end\nempty:\n"
    )
    found = read_commented_yaml(path)
    assert found.header == "Its first line, and its second."
    assert found.targets == {"": "some.Thing"}
    assert [(s.name, s.value, s.comment) for s in found.settings] == [
        ("plain", "1.0e-6", "from the paper"),
        ("quoted", '"a # in quotes"', "Said above in two lines."),
        ("nested.inner", "[1, 2]", "of the block; a list"),
        ("nested.other", "{a: b}", ""),
        ("long", "[1, 2]", "beside the end"),
        ("empty", "", ""),
    ]


DOCSTRING = """One line.

With a_b < c and `x[0]`:

    y_i = 2

Args:
    one: a number
        that goes on.
    two: 2.

Raises:
    E: no."""


def test_docstrings_are_taken_apart() -> None:
    found = parsed(DOCSTRING)
    assert found.text == "One line.\n\nWith a\\_b \\< c and `x[0]`:\n\n    y_i = 2"
    assert found.arguments == {"one": "a number that goes on.", "two": "2."}
