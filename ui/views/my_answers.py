"""My answers page: what somebody said themself, to take back or to say anew."""

from functools import partial

import streamlit as st

from domain.answers import Kind
from ui import components, session, tables
from ui.gallery.mount import label_table
from workflow import history, labels

PAGE_ROWS = 20
FILTERS = {"All": None, **{tables.KIND_WORDS[kind]: kind for kind in (*tables.CHOICES, Kind.SKIP)}}
project, member = session.project(), session.member()


def take_back(key: str) -> None:
    components.attempt(
        labels.take_back, project, member, key, done="Taken back.", needs=member.role
    )


def say(kind: Kind, key: str) -> None:
    done = f"Now: {tables.KIND_WORDS[kind].lower()}."
    components.attempt(
        history.answer_anew, project, member, key, kind, done=done, needs=member.role
    )


def draw_answers(name: str) -> None:
    key = f"my_answers.{name}"
    skip = PAGE_ROWS * session.page_number(key)
    found = history.answer_page(project, member, kind=FILTERS[name], limit=PAGE_ROWS + 1, skip=skip)
    if not found:
        draw_nothing(name)
        return
    shown = found[:PAGE_ROWS]
    paths = history.paths_of(project, [each.event.pair for each in shown])
    rows = [tables.own_row(each, paths) for each in shown]
    anew = {kind.value: partial(say, kind) for kind in tables.CHOICES}
    components.pager(key, more=len(found) > PAGE_ROWS)
    label_table(rows, key="my_answers.table", on_action={"take_back": take_back, **anew})


def draw_nothing(name: str) -> None:
    if name == "All":
        components.empty_state(
            "No answers yet", "What you answer is listed here, to look at again.", "annotate"
        )
    else:
        components.empty_state("No such answers", f"You gave none listed under “{name}”.")


components.page_header(
    "My answers",
    "The newest first. Say something else or take an answer back, however long ago it was: all "
    "that followed from it is worked out anew, and nothing is forgotten.",
)
chosen = st.radio(
    "Show", list(FILTERS), horizontal=True, key="my_answers.filter", persist_state="session"
)
draw_answers(chosen)
