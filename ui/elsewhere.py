"""Addresses at which there is nothing: near misses lead to a page, others get words on where to go.

Streamlit serves its page at any address; one below a page's would stay blank, as its scripts are
looked for beside it, and at all others a message about files of the app covers the first page.
"""

from html import escape
from pathlib import Path
from string import Template

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from ui import session
from ui.inner_routes import START, is_streamlits
from ui.sitemap import HOME, PAGES

_ALSO_HOME = (START, "home", "index")
_PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))


def elsewhere_routes() -> list[BaseRoute]:
    """All addresses that nobody else serves, for `st.App(routes=…)`; they stand last there."""
    return [_Elsewhere("/{path:path}", _serve)]


class _Elsewhere(Route):
    """A route for all but what Streamlit, whose routes come after all own ones, has to serve."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        theirs = is_streamlits(str(scope.get("path", "")))
        return (Match.NONE, {}) if theirs else super().matches(scope)


async def _serve(request: Request) -> Response:
    path = str(request.scope["path"])  # decoded
    up = "../" * path.count("/", 1) or "./"  # not from the root: a proxy may have put us below it
    meant = _meant(path)
    if meant is None:
        return HTMLResponse(_words(path, up, request), 404, {"Cache-Control": "no-store"})
    target = URL(up + _address(meant)).replace(query=request.url.query)
    return RedirectResponse(str(target), headers={"Cache-Control": "no-cache"})


def _meant(path: str) -> str | None:
    """The page that an address nearly says."""
    name = path.strip("/").casefold().replace("-", "_").replace(" ", "_")
    if name in _ALSO_HOME:
        return HOME
    return name if name in PAGES else None


def _words(path: str, up: str, request: Request) -> str:
    who = session.member_id_in(request.query_params)
    query = "" if who is None else f"?{session.IN_ADDRESS}={who}"
    links = (
        f'<li><a href="{up}{_address(name)}{query}">{escape(title)}</a></li>'
        for name, (title, _) in PAGES.items()
    )
    return _PAGE.substitute(path=escape(path), links="".join(links))


def _address(name: str) -> str:
    return "" if name == HOME else name
