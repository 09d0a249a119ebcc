"""The annotate component: shows pairs from memory and takes answers by key, mouse or touch.

Its files talk to the own routes (`ui/routes.py`); the script only gives it a token and hears
which page the person wants to go to.
"""

from typing import Any

import streamlit as st

from ui import session
from ui.annotate.first import ASKING, reader, source
from workflow import guides

KEY = "annotate.pairs"
_SCRIPTS = (
    *ASKING,
    "feed.js",
    "history.js",
    "keys.js",
    "zoom.js",
    "words.js",
    "view.js",
    "sheets.js",
    "pairs.js",
    "grid.js",
    "meter.js",
    "entries.js",
    "page.js",
    "mount.js",
)


_component = st.components.v2.component(
    "anneal_annotate",
    html=source("component.html"),
    css=source("component.css"),
    js=source(*_SCRIPTS),  # one JavaScript module, `mount.js` exports it
)


def annotate_pairs() -> str | None:
    """Draw the component; gives the short name of a page when the person asks to go there."""
    data = reader(session.member()) | {"guide": _guide()}
    result = _component(key=KEY, data=data, on_token_change=_rerun_only, on_page_change=_rerun_only)
    page = result.page
    return page if isinstance(page, str) else None


def _guide() -> dict[str, Any] | None:
    guide = guides.current_guide(session.project())
    if guide is None:
        return None
    examples = [
        {**each.pair._asdict(), "similar": each.similar, "remark": each.remark}
        for each in guide.examples
    ]
    return {"id": guide.guide_id, "text": guide.text, "examples": examples}


def _rerun_only() -> None:
    """Nothing to do: the rerun signs a new token, or goes to the page."""
