"""Accessibility of a page by axe-core: its rules at three widths, and the contrast of dark colours."""

import asyncio
from typing import Any

import pytest

from tests.chromium import Page

SIZES = (1400, 900), (768, 1024), (390, 844)
_CONTRAST = "runOnly: ['color-contrast']"


def audit(only: str = "resultTypes: ['violations']") -> str:
    """An expression whose value is a promise of the violations, one sentence each.

    Args:
        only: options of `axe.run`.
    """
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed (make setup)")
    from axe_playwright_python.base import AXE_SCRIPT

    return AXE_SCRIPT + (
        f";axe.run({{preload: false, {only}}}).then((found) => found.violations.flatMap((rule) => rule.nodes.map("
        "(node) => `${rule.impact} ${rule.id}: ${node.target} ${node.failureSummary}`)))"
    )


async def violations(page: Page) -> dict[str, Any]:
    """What axe-core finds wrong, by width and colours, in all that can be unfolded."""
    await page.ask("document.querySelectorAll('details').forEach((part) => (part.open = true))")
    found = {}
    for size in SIZES:
        await page.resize(*size)
        found[f"{size[0]} px"] = await page.ask(audit())
    await page.darken()
    await asyncio.sleep(0.5)  # colours that change slowly
    found["dark"] = await page.ask(audit(_CONTRAST))
    return {where: wrong for where, wrong in found.items() if wrong}
