"""The audit of accessibility finds what was planted."""

from pathlib import Path

from tests.axe import violations
from tests.chromium import DESKTOP, visit

PAGE = """<!doctype html><html lang="en"><head><title>t</title><style>
p { color: #222; background: #fff } @media (prefers-color-scheme: dark) { p { background: #333 } }
@media (min-width: 800px) { img { display: none } }</style></head>
<body><main><h1>t</h1><details><summary>more</summary><img src="data:,"></details><p>said</p></main></body></html>"""


def test_planted_faults_are_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    found = visit(tmp_path / "page.html", DESKTOP, violations)
    assert {where: [one.split(":")[0] for one in wrong] for where, wrong in found.items()} == {
        "768 px": ["critical image-alt"],
        "390 px": ["critical image-alt"],
        "dark": ["serious color-contrast"],
    }
