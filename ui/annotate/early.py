"""The annotate page as its HTML draws it, usable while Streamlit's scripts still load.

Its parts are those of the component, which takes the page over as it is: with the questions that
came, the pictures, and answers given meanwhile.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from streamlit import config

from domain.members import Member, Role
from ui import session
from workflow import guides

PAGE = (
    "api.js",
    "outbox.js",
    "tabs.js",
    "sources.js",
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
    "closing.js",
    "page.js",
)
FRAME = "anneal-frame"
HTML, CSS = "component.html", "component.css"
_HERE = Path(__file__).parent
_THEMES = ("light", "dark")
_FONT = '"Source Sans", sans-serif'
_COLOURS = {
    "--st-text-color": "textColor",
    "--st-background-color": "backgroundColor",
    "--st-primary-color": "primaryColor",
    "--st-link-color": "linkColor",
}


@cache  # the component's as of the start, too
def source(*names: str) -> str:
    """Files one after another."""
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


def reader(member: Member) -> dict[str, Any]:
    """Who looks at the page, a proof of it, and what they are to know."""
    signer = session.signer()
    return {
        "token": signer.token(member.member_id),
        "member": {"id": member.member_id, "leads": member.role.includes(Role.LEAD)},
        "scope": session.scope(member),
        "pictures": {"path": "/api/images", "version": signer.fingerprint()},
        "guide": _guide(),
    }


def early_page(member: Member) -> str:
    """HTML that draws the page for a member, and works by itself.

    What frames it stands in the template `FRAME`, and comes once a question can be seen: to load it
    keeps browser and server busy for half a second. It does not wait longer than the eye would.
    """
    data = json.dumps(reader(member)).replace("<", "\\u003c")  # nothing in it ends the script
    start = f'startEarly({data}, document.getElementById("{FRAME}"));'
    style = f"<style>{_theme()}\n{source('early.css', CSS)}</style>"
    template = f'<template shadowrootmode="open">{style}{source(HTML)}</template>'
    script = f'(() => {{ "use strict";\n{source(*PAGE, "early.js")}\n{start} }})()'
    return f'{_behind()}<div id="anneal-early">{template}</div><script>{script}</script>'


def _behind() -> str:
    """What is seen where Streamlit's header will be, which the page leaves free for it."""
    of_theme = 'body:has(> #anneal-early[data-theme="{}"]) {{ background: {}; }}'
    named = ((name, config.get_option(f"theme.{name}.backgroundColor")) for name in _THEMES)
    return f"<style>{' '.join(of_theme.format(*each) for each in named)}</style>"


def _theme() -> str:
    """The variables that Streamlit sets for components, in both themes."""
    dark = ':host([data-theme="dark"])'
    return f":host {{ --st-font: {_FONT}; {_colours('light')} }} {dark} {{ {_colours('dark')} }}"


def _colours(theme: str) -> str:
    named = ((name, config.get_option(f"theme.{theme}.{key}")) for name, key in _COLOURS.items())
    return " ".join(f"{name}: {colour};" for name, colour in named)


def _guide() -> dict[str, Any] | None:
    guide = guides.current_guide(session.project())
    if guide is None:
        return None
    examples = [
        {**each.pair._asdict(), "similar": each.similar, "remark": each.remark}
        for each in guide.examples
    ]
    return {"id": guide.guide_id, "text": guide.text, "examples": examples}
