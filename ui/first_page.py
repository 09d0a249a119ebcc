"""What a browser gets first: Streamlit's own page, with what it would have to find out by asking.

Streamlit's page asks for its server below the address that it was opened at, `/annotate` say, and a
tenth of a second later at the root; it connects when that has answered; and it loads what draws a
component when the script wants one. Here it is told where the server is, connects at once, and
loads that while it loads itself.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from ui import sign_in
from ui.sitemap import HOME, PAGES

_STATIC = Path(st.__file__).with_name("static")
_DRAWS_COMPONENTS = "../lib/src/components/widgets/BidiComponent/BidiComponent.tsx"
_SERVER = 'BACKEND_BASE_URL: new URL(".", location.href).href'
# No other site's page may talk to this one from around it; that must be said to connect at once.
_AT_ONCE = "HOST_CONFIG: { allowedOrigins: [location.origin], useExternalAuthToken: false }"


def page_routes() -> list[BaseRoute]:
    """The addresses of all pages, for `st.App(routes=…)`."""
    # Who signed in is known by a cookie that Streamlit only trusts beside another one, which it
    # sets when it is asked: there the page must ask first.
    asking, at_once = _page(_SERVER), _page(f"{_SERVER}, {_AT_ONCE}")

    async def serve(_: Request) -> Response:
        page = asking if sign_in.is_set_up() else at_once
        return HTMLResponse(page, headers={"Cache-Control": "no-cache"})

    return [Route("/" if name == HOME else f"/{name}", serve) for name in PAGES]


def _page(told: str) -> str:
    links = "".join(f'<link rel="modulepreload" crossorigin href="./{each}">' for each in _files())
    script = f"<script>window.__streamlit = {{ {told} }}</script>"
    page = (_STATIC / "index.html").read_text(encoding="utf-8")
    return page.replace("</head>", f"{script}{links}</head>")


def _files() -> list[str]:
    """The scripts that draw a component, without those that the page names itself."""
    described: Mapping[str, Any] = json.loads((_STATIC / "manifest.json").read_bytes())
    known = _needed(described, "index.html", set())
    wanted = _needed(described, _DRAWS_COMPONENTS, set()) - known
    return sorted(described[name]["file"] for name in wanted)


def _needed(described: Mapping[str, Any], name: str, found: set[str]) -> set[str]:
    if name in described and name not in found:
        found.add(name)
        for each in described[name].get("imports", ()):
            _needed(described, each, found)
    return found
