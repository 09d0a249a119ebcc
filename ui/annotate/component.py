"""The annotate component: shows pairs from memory and takes answers by key, mouse or touch.

Its files talk to the own routes (`ui/routes.py`); the script only gives it a token and hears
which page the person wants to go to.
"""

from pathlib import Path
from typing import Any

import streamlit as st

from domain.members import Role
from ui import session
from workflow import guides

KEY = "annotate.pairs"
_HERE = Path(__file__).parent
_SCRIPTS = (
    "api.js",
    "outbox.js",
    "tabs.js",
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


def _source(*names: str) -> str:
    """Files one after another: they make one JavaScript module, `mount.js` exports it."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


_component = st.components.v2.component(
    "anneal_annotate",
    html=_source("component.html"),
    css=_source("component.css"),
    js=_source(*_SCRIPTS),
)


def annotate_pairs() -> str | None:
    """Draw the component; gives the short name of a page when the person asks to go there."""
    result = _component(
        key=KEY, data=_data(), on_token_change=_rerun_only, on_page_change=_rerun_only
    )
    page = result.page
    return page if isinstance(page, str) else None


def _data() -> dict[str, Any]:
    member = session.member()
    fingerprint = session.signer().fingerprint()
    return {
        "token": session.token(),
        "member": {"id": member.member_id, "leads": member.role.includes(Role.LEAD)},
        "scope": session.scope(),
        "pictures": {"path": "/api/images", "version": fingerprint},
        "guide": _guide(),
    }


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
