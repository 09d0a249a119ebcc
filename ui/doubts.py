"""Labels that the model in use speaks against, for a lead to look at again."""

from collections.abc import Callable

import streamlit as st

from ui import components, session, tables
from ui.gallery.mount import label_table
from workflow import doubts, explore, history, pages
from workflow.project import Project

PAGE_ROWS = 20
KEY, FOUND = "labels.doubts", "labels.doubted"
WORDS = (
    "Answers on the other side of the threshold of the model in use, although it may have learnt "
    "from them; what it contradicts most comes first. Either somebody erred, or the model has yet "
    "to learn it."
)


def draw(project: Project, *, on_history: Callable[[str], None]) -> None:
    """These labels, a page at a time.

    Raises:
        ModelError: the embeddings of the model in use are gone or damaged.
    """
    state = (pages.last_event_id(project), explore.active_run_name(project))
    found = session.remembered(FOUND, state, lambda: doubts.doubts(project))
    if not found:
        components.empty_state(
            "Nothing is against the model", "No answer is on the other side of its threshold."
        )
        return
    st.caption(WORDS, width=components.READABLE_PX)
    start = PAGE_ROWS * min(session.page_number(KEY), (len(found) - 1) // PAGE_ROWS)
    shown = found[start : start + PAGE_ROWS]
    paths = history.paths_of(project, [each.label.pair for each in shown])
    components.pager(KEY, more=len(found) > start + PAGE_ROWS)
    rows = [tables.doubt_row(each, paths) for each in shown]
    label_table(rows, key=KEY, on_action={"history": on_history})
