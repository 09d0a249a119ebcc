"""Labels page: what people answered, what contradicts itself, and all of it as files."""

import streamlit as st

from domain.answers import PairLabel
from ui import components, exports, session, tables
from ui.gallery.mount import label_table
from workflow import labels

PAGE_ROWS = 20
MOST_ANSWERS = 100_000  # of one member, that can be taken back here
MOST_CONFLICTS = 5  # drawn at once; the rest is counted
project, member = session.project(), session.member()
everything = labels.pair_labels(project)
paths = labels.paths(project)
mine = tables.newest_by_pair(labels.recent_answers(project, member, MOST_ANSWERS))
by_pair = {label.pair: label for label in everything}


def take_back(key: str) -> None:
    components.attempt(labels.take_back, project, member, key, done="Taken back.")


def draw_table(shown: list[PairLabel], key: str) -> None:
    rows = [tables.label_row(label, paths, mine) for label in shown]
    label_table(rows, key=key, on_taken_back=take_back)


def draw_conflicts() -> None:
    found = labels.conflicts(project)
    if not found:
        return
    with st.expander(
        f"{components.counted(len(found), 'conflict')}: answers that cannot all be true"
    ):
        for conflict in found[:MOST_CONFLICTS]:
            st.caption("The first answer contradicts those below it.")
            pairs = [conflict.pair, *conflict.evidence]
            clashing = [by_pair[each] for each in pairs if each in by_pair]
            draw_table(clashing, key=f"labels.conflict.{conflict.conflict_id}")
        if len(found) > MOST_CONFLICTS:
            st.caption(f"{len(found) - MOST_CONFLICTS} more are not shown.")


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
