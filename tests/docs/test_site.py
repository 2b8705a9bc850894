"""The site builds without a warning, shows equations without a script, and asks nobody for anything."""

import asyncio
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.axe import violations
from tests.chromium import DESKTOP, PHONE, Page, visit
from tests.conftest import ROOT

DOCS = ROOT / "docs"
SOURCES = sorted(DOCS.glob("*.md"))
PICTURES = sorted((DOCS / "images").glob("*.png"))
KNOWN_HOSTS = {"arxiv.org", "docs.astral.sh", "doi.org", "github.com"}
"""What pages link to; any other is looked at before it is added."""
HOST = re.compile(r"https?://([\w.:-]+)")
OWN_PLACE = re.compile(r"(?<![\w.])/(?:home|root|tmp|work)/\w")
"""Where something lay on the machine of who wrote a page."""
LARGEST_PICTURE = 150_000


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("sphinx", "myst_parser", "furo", "latex2mathml"):
        pytest.importorskip(package, reason=f"{package} is not installed (make setup)")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", str(folder / "doctrees")]
    done = subprocess.run(
        [*command, str(DOCS), str(folder / "html")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "html"


class _Parts(HTMLParser):
    """Links, places and equations of a page, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.equations = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if "id" in found:
            self.ids.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if "src" in found or (tag == "link" and found.get("rel") in ("stylesheet", "preload", "icon")):
            self.loaded.append(found.get("src", found.get("href", "")))
        self.equations += tag == "math"


@pytest.mark.slow
def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    pages = {path: _Parts(path.read_text()) for path in site.rglob("*.html")}
    assert len(pages) > len(SOURCES)
    broken = []
    for path, page in pages.items():
        for link in page.links:
            place, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", place):
                continue
            target = (path.parent / place).resolve() if place else path
            if not target.is_file() or (anchor and anchor not in _ids(pages, target)):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def _ids(pages: dict[Path, Any], target: Path) -> set[str]:
    return pages[target].ids if target in pages else set()


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        assert [load for load in _Parts(path.read_text()).loaded if re.match(r"(https?:)?//", load)] == []
    for path in (*site.rglob("*.css"), *site.rglob("*.js")):
        assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", path.read_text()), path


@pytest.mark.slow
def test_equations_are_mathml(site: Path) -> None:
    method = (site / "method.html").read_text()
    blocks = len(re.findall(r"^\$\$\n.+?^\$\$$", (DOCS / "method.md").read_text(), re.M | re.S))
    assert blocks > 5
    assert method.count('display="block"') == blocks
    assert _Parts(method).equations > blocks, "and those within sentences"
    assert "$$" not in method
    assert "\\frac" not in re.sub(r"<annotation.*?</annotation>", "", method)


@pytest.mark.slow
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["index", "method", "faq", "reproduce", "reference/saliency"])
def test_a_page_opens_without_complaint_and_fits(site: Path, name: str, size: tuple[int, int]) -> None:
    async def look(page: Page) -> Any:
        return await page.ask(
            "[document.documentElement.scrollWidth, window.innerWidth, document.querySelectorAll('h1').length]"
        )

    width, window, headings = visit(site / f"{name}.html", size, look)
    assert width <= window, "the page is wider than the window"
    assert headings == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["index", "own-images", "method", "reference/saliency", "faq"])
def test_a_page_is_accessible(site: Path, name: str) -> None:
    assert visit(site / f"{name}.html", DESKTOP, violations) == {}


@pytest.mark.slow
def test_code_is_copied_as_it_is_typed(site: Path) -> None:
    async def look(page: Page) -> Any:
        await page.ask("navigator.clipboard.writeText = async (text) => (window.copied = text), 0")
        await page.ask("document.querySelector('div.highlight-bash .copy-code').click()")
        return await page.ask("[copied, document.querySelectorAll('article .highlight').length]"), (
            await page.ask("document.querySelectorAll('.copy-code').length")
        )

    (copied, blocks), buttons = visit(site / "command-line.html", DESKTOP, look)
    assert copied.startswith("python run.py +experiment=demo")
    assert copied.endswith('"a dark mass, irregular (3 cm) = lesion"')
    assert buttons == blocks


@pytest.mark.slow
def test_the_search_shows_excerpts_where_pages_are_files(site: Path) -> None:
    async def look(page: Page) -> Any:
        await page.ask("setTimeout(() => (location.search = '?q=hausdorff'), 0)")
        for _ in range(100):
            await asyncio.sleep(0.1)
            found = await page.ask(
                "[...document.querySelectorAll('#search-results li')]"
                ".map((li) => [li.querySelector('a').href, li.querySelector('p.context')?.textContent])"
            )
            if found and all(excerpt for _, excerpt in found):
                break
        return found

    found = visit(site / "search.html", DESKTOP, look)
    excerpts = {link.rpartition("/")[2].partition("?")[0]: excerpt for link, excerpt in found}
    assert "95 % Hausdorff distance" in excerpts["numbers.html"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_pages_name_no_registry_and_no_machine(path: Path) -> None:
    text = path.read_text()
    assert set(HOST.findall(text)) <= KNOWN_HOSTS
    assert OWN_PLACE.findall(text) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_links_of_a_page_have_their_files(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+\.(?:md|png))", path.read_text()):
        if not link.startswith(("http", "reference/")):
            assert (path.parent / link).is_file(), link


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "index.md").read_text()
    entries = {
        line.strip()
        for tree in re.findall(r"```\{toctree\}(.*?)```", index, re.S)
        for line in tree.splitlines()
    }
    assert {path.stem for path in SOURCES} - {"index"} <= entries


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_pictures_are_small_and_used(path: Path) -> None:
    assert path.stat().st_size < LARGEST_PICTURE
    assert any(f"images/{path.name}" in source.read_text() for source in SOURCES)
