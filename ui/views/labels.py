"""Labels page: what people answered, the history of each pair, and all of it as files."""

import streamlit as st

from domain.answers import Kind, Source
from domain.history import LogFilter
from domain.pairs import Pair
from ui import components, doubts, exports, groups, session, tables
from ui.gallery.mount import Tile, image_grid, label_table
from workflow import conflicts, flags, history, labels, members, rounds, status

PAGE_ROWS = 20
FIELD_PX = 190
QUERY = "pair"  # in the address, so that a history can be kept and shared
FILTER = "labels.filter"
SHOW = "show"  # in the address, where other pages lead to what they speak of
IN_CONFLICT = "In conflict"
FLAGGED = "Flagged"
DOUBTED = "Against the model"
GROUPS = "Groups"
SHOWN = {"flags": FLAGGED, "doubts": DOUBTED, "groups": GROUPS}
ANSWERS = {
    "All": None,
    **{tables.KIND_WORDS[kind]: kind for kind in (*tables.CHOICES, Kind.SKIP, Kind.RESOLUTION)},
    IN_CONFLICT: None,
    DOUBTED: None,
    FLAGGED: None,
    GROUPS: None,
}
project, member = session.project(), session.member()


def take_back(key: str) -> None:
    components.attempt(labels.take_back, project, member, key, done="Taken back.")


def open_history(text: str) -> None:
    st.query_params[QUERY] = text


def close_history() -> None:
    st.query_params.pop(QUERY, None)


def draw_conflicts() -> None:
    count = conflicts.count_open(project)
    if count:
        found = f"{components.counted(count, 'conflict')}: answers that cannot all be true"
        with st.container(key="labels.links"):
            components.page_link("conflicts", found)


def chosen_pair() -> Pair | None:
    numbers = st.query_params.get(QUERY, "").split("-")
    if len(numbers) != 2 or not all(each.isascii() and each.isdigit() for each in numbers):
        return None
    a, b = sorted(int(each) for each in numbers)
    return Pair(a, b) if a < b < 2**63 else None


def choose() -> str:
    session.follow_address(SHOW, FILTER, SHOWN)
    waiting = flags.count_open(project)
    names = {FLAGGED: f"{FLAGGED} ({waiting})"} if waiting else {}
    return st.radio(
        "Show",
        list(ANSWERS),
        format_func=lambda name: names.get(name, name),
        horizontal=True,
        key=FILTER,
        persist_state="session",
    )


def draw_filters(answer: str) -> LogFilter:
    everybody = members.list_members(project) + members.list_members(project, former=True)
    numbers = rounds.round_numbers(project)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        who = st.selectbox(
            "Answered by",
            [None, *everybody],
            format_func=lambda each: "anybody" if each is None else each.name,
            key="labels.member",
            persist_state="session",
            width=FIELD_PX,
        )
        number = st.selectbox(
            "Asked in",
            [None, *numbers],
            format_func=lambda each: "any round" if each is None else f"round {each}",
            key="labels.round",
            persist_state="session",
            width=FIELD_PX,
        )
        source = st.selectbox(
            "Came",
            [None, *Source],
            format_func=lambda each: "anyhow" if each is None else tables.SOURCE_WORDS[each],
            key="labels.source",
            persist_state="session",
            width=FIELD_PX,
        )
        exports.export_menu(project)
    return LogFilter(
        member_id=None if who is None else who.member_id,
        kind=ANSWERS[answer],
        source=source,
        round_number=number,
        in_conflict=answer == IN_CONFLICT,
    )


def draw_labels(wanted: LogFilter) -> None:
    key = f"labels.{wanted}"
    skip = PAGE_ROWS * session.page_number(key)
    found = history.label_page(project, wanted, limit=PAGE_ROWS + 1, skip=skip)
    if not found:
        components.empty_state("No such labels", "No pair has a standing answer like that.")
        return
    shown = found[:PAGE_ROWS]
    paths = history.paths_of(project, [each.pair for each in shown])
    rows = [tables.label_row(label, paths) for label in shown]
    components.pager(key, more=len(found) > PAGE_ROWS)
    label_table(rows, key="labels.table", on_action={"history": open_history})


def deal_with(flag_id: str) -> None:
    components.attempt(flags.deal_with, project, member, int(flag_id), done="Off the list.")


def draw_flags() -> None:
    key = "labels.flags"
    skip = PAGE_ROWS * session.page_number(key)
    found = flags.open_flags(project, limit=PAGE_ROWS + 1, skip=skip)
    if not found:
        components.empty_state(
            "No flags", "What annotators flag with a note, as something is odd, waits here."
        )
        return
    shown = found[:PAGE_ROWS]
    paths = history.paths_of(project, [flag.image_ids for flag in shown])
    rows = [tables.flag_row(flag, paths) for flag in shown]
    components.pager(key, more=len(found) > PAGE_ROWS)
    label_table(rows, key=key, on_action={"history": open_history, "done": deal_with})


def draw_history(asked: Pair) -> None:
    st.button("All labels", icon=":material/arrow_back:", key="labels.back", on_click=close_history)
    events, flagged = history.history_of(project, asked), flags.flags_about(project, asked)
    if not events and not flagged:
        components.empty_state("Nothing happened to this pair", "Nobody answered it so far.")
        return
    paths = history.paths_of(project, [asked])
    tiles = [Tile(each, paths.get(each, f"image {each}")) for each in asked]
    image_grid(tiles, name="The pair", key="labels.pair", on_chosen=lambda _: None)
    if events:
        st.header("What happened, the newest first", anchor=False)
        rows = [tables.history_row(each) for each in events]
        label_table(rows, key="labels.history", on_action={"take_back": take_back})
    if flagged:
        st.header("What was flagged", anchor=False)
        rows = [tables.flag_history_row(each) for each in flagged]
        label_table(rows, key="labels.flagged", on_action={"done": deal_with})


components.page_header("Labels", "What people answered: look through it, take it back, export it.")
asked = chosen_pair()
if asked is not None:
    draw_history(asked)
elif status.standing(project).effort.answers or flags.count_open(project):
    draw_conflicts()
    answer = choose()
    if answer == FLAGGED:
        draw_flags()
    elif answer == DOUBTED:
        with components.errors_shown():
            doubts.draw(project, on_history=open_history)
    elif answer == GROUPS:
        groups.draw(project)
    else:
        draw_labels(draw_filters(answer))
else:
    components.empty_state("No answers yet", "Pairs appear here as they are answered.", "annotate")
