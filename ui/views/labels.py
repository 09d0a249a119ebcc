"""Labels page: what people answered, and all of it as files."""

import streamlit as st

from domain.answers import PairLabel
from ui import components, exports, session, tables
from ui.gallery.mount import label_table
from workflow import conflicts, labels

PAGE_ROWS = 20
MOST_ANSWERS = 100_000  # of one member, that can be taken back here
project, member = session.project(), session.member()
everything = labels.pair_labels(project)
paths = labels.paths(project)
mine = tables.newest_by_pair(labels.recent_answers(project, member, MOST_ANSWERS))


def take_back(key: str) -> None:
    components.attempt(labels.take_back, project, member, key, done="Taken back.")


def draw_table(shown: list[PairLabel], key: str) -> None:
    rows = [tables.label_row(label, paths, mine) for label in shown]
    label_table(rows, key=key, on_taken_back=take_back)


def draw_conflicts() -> None:
    count = conflicts.count_open(project)
    if count:
        found = f"{components.counted(count, 'conflict')}: answers that cannot all be true"
        components.page_link("conflicts", found)


def draw_labels(name: str) -> None:
    shown = [label for label in everything if tables.FILTERS[name](label, mine)]
    if not shown:
        components.empty_state("No such labels", f"No pair is listed under “{name}”.")
        return
    count = -(-len(shown) // PAGE_ROWS)
    page = st.pagination(count, key=f"labels.page.{name}.{count}") if count > 1 else 1
    draw_table(shown[(page - 1) * PAGE_ROWS : page * PAGE_ROWS], key="labels.table")
    st.caption(f"{len(shown):,} of {components.counted(len(everything), 'pair')}")


components.page_header("Labels", "What people answered: check it, take answers back, export it.")
if everything:
    draw_conflicts()
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"
    ):
        chosen = st.radio("Show", list(tables.FILTERS), horizontal=True, key="labels.filter")
        exports.export_menu(project)
    draw_labels(chosen)
else:
    components.empty_state("No answers yet", "Pairs appear here as they are answered.", "annotate")
