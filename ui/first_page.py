"""What a browser gets first: Streamlit's own page, with what it would have to find out by asking.

Streamlit's page asks for its server below the address that it was opened at, `/annotate` say, and a
tenth of a second later at the root; it connects when that has answered; and it loads what draws a
part when the script wants one, with a grey bar in its place meanwhile. Here it is told where the
server is, connects at once, and loads the parts of its page while it loads itself; it is wide from
the first moment, and grey bars take the room of what they stand for.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from domain.errors import AnnealError
from domain.members import Member
from labeling_store.failures import in_words
from ui import access, session, sign_in
from ui.access import Refusal
from ui.annotate.early import FRAME, early_page
from ui.serving import Threads
from ui.sitemap import HOME, PAGES

_STATIC = Path(st.__file__).with_name("static")
# What each page shows at once, by the names of Streamlit's sources, beside our own components.
# Charts and tables are left out: they are large, and keep their room free.
PARTS: Mapping[str, tuple[str, ...]] = {
    "overview": ("Button", "Metric", "PageLink", "Progress"),
    "my_answers": ("Button", "Radio"),
    "rounds": ("Button", "NumberInput", "Selectbox"),
    "curves": ("FileUploader", "PageLink", "Radio", "Selectbox", "Slider"),
    "search": ("Button", "FileUploader", "PageLink", "Pagination", "Selectbox", "TextInput"),
    "explore": ("Selectbox",),
    "labels": ("Button", "PageLink", "Radio", "Selectbox"),
    "conflicts": ("Button", "Radio"),
    "people": ("Button", "Selectbox", "TextInput"),
    "instructions": ("Button", "Multiselect", "TextArea", "TextInput"),
    "project": ("Button", "FileUploader"),
    "you": ("Button", "Selectbox", "TextInput"),
}
_SERVER = 'BACKEND_BASE_URL: new URL(".", location.href).href'
# While the page waits for its server: what is loaded is there at once when it is to be drawn.
_WARM = (
    "(window.requestIdleCallback ?? setTimeout)"  # Safari has none
    "(() => FILES.forEach((file) => import(file).catch(() => {})))"
)
_SCRIPTS = re.compile(
    r'<link rel="modulepreload"[^>]*>|<script (?:type="module"|data-warm).*?</script>'
)
STYLE = f"<style>{Path(__file__).with_suffix('.css').read_text(encoding='utf-8')}</style>"
# No other site's page may talk to this one from around it; that must be said to connect at once.
_AT_ONCE = "HOST_CONFIG: { allowedOrigins: [location.origin], useExternalAuthToken: false }"


def page_routes() -> list[BaseRoute]:
    """The addresses of all pages, for `st.App(routes=…)`."""
    described: Mapping[str, Any] = json.loads((_STATIC / "manifest.json").read_bytes())
    threads = Threads(1, "page")
    return [_route(name, described, threads) for name in PAGES]


def _route(name: str, described: Mapping[str, Any], threads: Threads) -> Route:
    links = _links(described, ("BidiComponent", *PARTS.get(name, ())))
    # Who signed in is known by a cookie that Streamlit only trusts beside another one, which it
    # sets when it is asked: there the page must ask first.
    title = f"{PAGES[name][0]} · Anneal"  # as the script names it
    asking = _page(title, _SERVER, links)
    at_once = _page(title, f"{_SERVER}, {_AT_ONCE}", links)
    framed_later = {page: _framed_later(page) for page in (asking, at_once)}

    async def serve(request: Request) -> Response:
        page = asking if sign_in.is_set_up() else at_once
        early = await threads.run(_early, request) if name == "annotate" else ""
        if not early:
            return _html(page)
        # a proof of who reads it is in it, so that it is to be kept nowhere
        return _html(framed_later[page].replace("</body>", f"{early}</body>"), "no-store")

    return Route("/" if name == HOME else f"/{name}", serve)


def _page(title: str, told: str, links: str) -> str:
    script = f"<script>window.__streamlit = {{ {told} }}</script>"
    page = (_STATIC / "index.html").read_text(encoding="utf-8")
    named = page.replace("<title>Streamlit</title>", f"<title>{title}</title>")
    return named.replace("</head>", f"{script}{STYLE}{links}</head>")


def _html(page: str, caching: str = "no-cache") -> Response:
    return HTMLResponse(page, headers={"Cache-Control": caching})


def _framed_later(page: str) -> str:
    """The page with Streamlit's scripts put aside, for a part that is there before the rest."""
    scripts = "".join(each.group() for each in _SCRIPTS.finditer(page))
    frame = f'<template id="{FRAME}">{scripts}</template>'
    return _SCRIPTS.sub("", page).replace("</body>", f"{frame}</body>")


def _early(request: Request) -> str:
    """The annotate page for its reader; nothing where they will be refused."""
    try:
        access.check_host(request)
        access.check_near(request)
        member = _reader(request)
    except (AnnealError, Refusal):
        return ""  # Streamlit's page says what is wrong
    except Exception as error:  # a database that cannot be read is no bug
        if in_words(error) is None:
            raise
        return ""
    return "" if member is None else early_page(member)


def _reader(request: Request) -> Member | None:
    if sign_in.is_set_up():
        return session.member_known_as(sign_in.identity_by_cookie(request))
    return session.member_at(request.query_params)


def _links(described: Mapping[str, Any], parts: Iterable[str]) -> str:
    """The scripts that draw these parts, without those that the page names itself."""
    sources = [each for each in described if _part(each) in parts]
    wanted = _imported(described, sources) - _imported(described, ["index.html"])
    files = sorted(described[each]["file"] for each in wanted)
    links = "".join(f'<link rel="modulepreload" crossorigin href="./{each}">' for each in files)
    drawn = json.dumps([f"./{described[each]['file']}" for each in sources])
    return f"{links}<script data-warm>{_WARM.replace('FILES', drawn)}</script>"


def _part(source: str) -> str:
    """The name of what a source draws, as `Button` for `../lib/src/widgets/Button/Button.tsx`."""
    return source.removesuffix(".tsx").rpartition("/")[2]


def _imported(described: Mapping[str, Any], sources: Iterable[str]) -> set[str]:
    """These sources and all that they import."""
    found: set[str] = set()
    waiting = [each for each in sources if each in described]
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting += described[each].get("imports", ())
    return found
