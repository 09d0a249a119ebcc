"""Moving about a page by keyboard alone, and waiting for what came of it."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

FOCUSED = """
() => {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at?.getAttribute("aria-label") ?? at?.labels?.[0]?.innerText ?? at?.innerText ?? "";
}
"""


def tab_to(page: Page, pattern: str) -> None:
    """Press Tab until what has the focus says something of the pattern."""
    for _ in range(90):
        page.keyboard.press("Tab")
        if re.fullmatch(pattern, page.evaluate(FOCUSED).strip()):
            return
    pytest.fail(f"No {pattern} within 90 tabs")


def wait_until(page: Page, happened: Callable[[], bool]) -> None:
    """Wait for the store; a time-out is a failure."""
    for _ in range(200):
        if happened():
            return
        page.wait_for_timeout(100)
    pytest.fail("It did not come to the store")
