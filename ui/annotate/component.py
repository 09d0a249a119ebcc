"""The annotate component: shows pairs from memory and takes answers by key, mouse or touch.

Its files talk to the own routes (`ui/routes.py`); the script only gives it a token and hears
which page the person wants to go to.
"""

import streamlit as st

from ui import session
from ui.annotate.early import CSS, HTML, PAGE, reader, source

KEY = "annotate.pairs"

_component = st.components.v2.component(
    "anneal_annotate",
    html=f"<template>{source(HTML)}</template>",  # not drawn where the HTML's page is taken over
    css=source(CSS),
    js=source(*PAGE, "mount.js"),  # one JavaScript module, `mount.js` exports it
)


def annotate_pairs() -> str | None:
    """Draw the component; gives the short name of a page when the person asks to go there."""
    data = reader(session.member())
    result = _component(key=KEY, data=data, on_token_change=_rerun_only, on_page_change=_rerun_only)
    page = result.page
    return page if isinstance(page, str) else None


def _rerun_only() -> None:
    """Nothing to do: the rerun signs a new token, or goes to the page."""
