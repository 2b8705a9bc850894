"""One version, which pages repeat; and what a project tells those who come to it."""

import re

import yaml

import medsam_exp
from tests.conftest import ROOT


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    releases = re.findall(r"^## \[(\d.+)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert releases[0] == (medsam_exp.__version__, str(citation["date-released"]))
    assert citation["version"] == medsam_exp.__version__
    assert re.search(r'^dynamic = \["version"\]$', (ROOT / "pyproject.toml").read_text(), re.M)


def test_changes_that_are_not_released_have_a_place_on_top() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == "[Unreleased]"


def test_hooks_come_from_the_environment_that_make_setup_makes() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [each["repo"] for each in hooks] == ["local"]
    for hook in hooks[0]["hooks"]:
        assert hook["language"] == "system"
        assert hook["entry"].startswith(".venv/bin/python -m ")


def test_the_workflow_runs_what_the_project_runs_itself() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "checks.yaml").read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert commands == [".ci/run", "make test-lowest"]
    assert re.search(r"^test-lowest:", (ROOT / "Makefile").read_text(), re.M)


def test_links_of_the_pages_for_contributors_lead_somewhere() -> None:
    for page in ("CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
            assert (ROOT / target).exists(), f"{page} links to {target}"
