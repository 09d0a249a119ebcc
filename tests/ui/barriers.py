"""What keeps people out of a page, as axe finds it."""

from collections.abc import Sequence
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

# What parts do that we do not draw: rule, a word in the selector, and why it stays.
NOT_OURS = (
    ("svg-img-alt", "_brush", "Vega draws the rectangle of a selection as a symbol without a name"),
)


def serious(page: Page, *, only: Sequence[str] = ()) -> list[str]:
    """What axe calls serious or critical: the rule, the part of the page, and what is wrong."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if only:
        options["runOnly"] = list(only)
    found = [
        (rule["id"], str(node["target"]), node.get("failureSummary", ""))
        for rule in Axe().run(page, options=options).response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
    return [
        f"{name}: {target}: {words}"
        for name, target, words in found
        if not any(name == rule and part in target for rule, part, _ in NOT_OURS)
    ]
