"""Pages without a browser: what is drawn, in words."""

import json
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from domain.members import Member

MAIN = str(Path(__file__).parents[2] / "ui" / "main.py")


def opened(page: str, *, by: Member | None = None, **query: str) -> AppTest:
    """A page that was not drawn yet, as of a member, with further words in its address."""
    app = AppTest.from_file(MAIN, default_timeout=60).switch_page(f"views/{page}.py")
    if by is not None:
        app.query_params["member"] = str(by.member_id)
    for name, value in query.items():
        app.query_params[name] = value
    return app


def show(page: str, *, by: Member | None = None, **query: str) -> AppTest:
    """A page, drawn; see `opened`."""
    app = opened(page, by=by, **query).run()
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    """All that the page says in texts, captions, boxes, messages and figures."""
    texts = (app.title, app.header, app.markdown, app.caption)
    boxes = (app.info, app.warning, app.error, app.toast)
    said = [each.value for kind in (*texts, *boxes) for each in kind]
    said += [f"{each.label}: {each.value}" for each in app.metric]
    return "\n".join(said).replace("\\", "").replace("\u2060", "")


def table(app: AppTest) -> list[dict[str, Any]]:
    """The lines of the page's only table of labels."""
    drawn = (each.proto for each in app.get("bidi_component"))
    (found,) = (each for each in drawn if each.component_name == "anneal_label_table")
    rows: list[dict[str, Any]] = json.loads(found.json)["rows"]
    return rows
