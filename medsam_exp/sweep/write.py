"""Write a table as Markdown, as LaTeX (booktabs) and as HTML, every sign of every name kept."""

import re
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

from medsam_exp.runtime.digests import write_atomically
from medsam_exp.sweep.sheets import Item, Sheet

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "–": "--",
    "[": "{[}",  # after a line's end, a bracket would be read as a length
    "]": "{]}",
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 1.5rem; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; font-weight: 600; padding-bottom: .5rem; }}
th, td {{ padding: .3rem .8rem; border-bottom: 1px solid #ccc; text-align: left; }}
.number {{ text-align: right; white-space: nowrap; }}
</style>
{table}
{notes}
</html>
"""


def markdown(sheet: Sheet) -> str:
    """A table of GitHub's Markdown, its notes below."""
    rule = ["---" if column < sheet.labels else "---:" for column in range(len(sheet.header))]
    rows = [list(map(_in_markdown, sheet.header)), rule]
    rows += [[_bold(_in_markdown(item.text), item, "**{}**") for item in line] for line in sheet.lines]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    notes = "\n".join(f"- {_in_markdown(note)}" for note in sheet.notes)
    return f"**{_in_markdown(sheet.title)}**\n\n{table}\n\n{notes}\n"


def latex(sheet: Sheet) -> str:
    r"""A floating table; needs \usepackage{booktabs}."""
    columns = "l" * sheet.labels + "r" * (len(sheet.header) - sheet.labels)
    rows = [[_in_latex(item.text) for item in line] for line in sheet.lines]
    bold = [
        [_bold(text, item, r"\textbf{{{}}}") for text, item in zip(row, line, strict=True)]
        for row, line in zip(rows, sheet.lines, strict=True)
    ]
    body = "\n".join(f"{' & '.join(row)} \\\\" for row in bold)
    notes = " ".join(f"{_in_latex(note).rstrip('.')}." for note in sheet.notes)
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_in_latex(sheet.title)}. {notes}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            f"{' & '.join(map(_in_latex, sheet.header))} \\\\",
            r"\midrule",
            body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def html_table(sheet: Sheet, *, caption: bool = True) -> str:
    """A table element; a number carries its exact value for sorting."""
    heads = "".join(
        f'<th scope="col"{_kind(sheet, column)}>{escape(text)}</th>'
        for column, text in enumerate(sheet.header)
    )
    lines = "\n".join(f"<tr>{''.join(_html_cells(sheet, line))}</tr>" for line in sheet.lines)
    title = f"<caption>{escape(sheet.title)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table>"


def html(sheet: Sheet) -> str:
    """A page with the table."""
    notes = "\n".join(f"<p>{escape(note)}</p>" for note in sheet.notes)
    return _PAGE.format(title=escape(sheet.title), table=html_table(sheet), notes=notes)


WRITERS: Mapping[str, Callable[[Sheet], str]] = {"md": markdown, "tex": latex, "html": html}
"""By suffix."""


def write_sheet(sheet: Sheet, path: Path) -> list[Path]:
    """Write a sheet in every format.

    Args:
        sheet: to write.
        path: without a suffix; signs that files cannot have in their names are the caller's to avoid.

    Returns:
        The files.
    """
    files = {path.with_name(f"{path.name}.{suffix}"): write(sheet) for suffix, write in WRITERS.items()}
    for file, content in files.items():
        write_atomically(file, content.encode())
    return list(files)


def _in_markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<])", r"\\\1", " ".join(text.split()))


def _in_latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))


def _bold(text: str, item: Item, pattern: str) -> str:
    return pattern.format(text) if item.best else text


def _kind(sheet: Sheet, column: int) -> str:
    return "" if column < sheet.labels else ' class="number"'


def _html_cells(sheet: Sheet, line: tuple[Item, ...]) -> list[str]:
    cells = []
    for column, item in enumerate(line):
        text = _bold(escape(item.text), item, "<strong>{}</strong>")
        if column < sheet.labels:
            cells.append(f'<th scope="row">{text}</th>')
        else:
            value = "" if item.value is None else f' data-value="{item.value!r}"'
            cells.append(f'<td class="number"{value}>{text}</td>')
    return cells
