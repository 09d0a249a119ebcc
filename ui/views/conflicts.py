"""Conflicts page: answers that cannot all be true, and a lead's word on them."""

import uuid

import streamlit as st

from domain.answers import Conflict, Settlement
from domain.members import Role
from domain.pairs import Pair
from ui import components, disputes, session
from ui.gallery.mount import dispute_card, label_table
from workflow import conflicts, consistency, history
from workflow.conflicts import Dispute, Ruling

PAGE_ROWS = 10
CHOSEN = "conflict"  # in the address, so that a conflict can be shown to others
OPEN, SETTLED = "Open", "Settled"
project, member = session.project(), session.member()


def paths_of(*pairs: Pair) -> dict[int, str]:
    """Of the images on the page only: an archive has more than a page can wait for."""
    return history.paths_of(project, list(pairs))


def choose(conflict_id: int) -> None:
    st.query_params[CHOSEN] = str(conflict_id)


def chosen() -> int | None:
    text = st.query_params.get(CHOSEN, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def settle(dispute: Dispute, key: str, ruling: str, place: int | None) -> None:
    link = dispute.path[place].pair if place is not None and place < len(dispute.path) else None
    given = Ruling(ruling)
    components.attempt(
        conflicts.settle, project, member, dispute, given, key=key, link=link, done="Settled."
    )


def take_back(settlement: Settlement) -> None:
    components.attempt(conflicts.take_back, project, member, settlement, done="Taken back.")


def page_of(count: int, name: str) -> int:
    """Where the shown page of a long list starts."""
    pages = -(-count // PAGE_ROWS)
    page = st.pagination(pages, key=f"conflicts.page.{name}.{pages}") if pages > 1 else 1
    return (page - 1) * PAGE_ROWS


def draw_reliability() -> None:
    found = consistency.consistency(project)
    words, note = consistency.errors_in_words(found), consistency.unreliable(project, found)
    if words is not None:
        st.caption(components.as_text(words), width=components.READABLE_PX)
    if note is not None:
        st.info(components.as_text(note), icon=":material/rule:")


def draw_undo() -> None:
    """The newest settlement, for who made it by mistake."""
    for newest in conflicts.list_settled(project, limit=1):
        if newest.member == member.name and conflicts.is_recent(newest):
            with st.container(horizontal=True, vertical_alignment="center", key="conflicts.last"):
                names = disputes.names(newest.pair, paths_of(newest.pair))
                words = f"You settled {names}: {newest.reason}"
                st.caption(components.as_text(words), width="content")
                st.button("Undo", key="conflicts.undo", on_click=take_back, args=(newest,))


def draw_open(count: int) -> None:
    if not count:
        components.empty_state(
            "No open conflicts",
            "Answers go together. What contradicts earlier answers will be listed here.",
            "annotate",
        )
        return
    card, rows = st.columns([2, 1], gap="large")
    with rows:
        listed = conflicts.list_open(project, limit=PAGE_ROWS, offset=page_of(count, "open"))
        wanted = conflicts.look_into(project, chosen() or listed[0].conflict_id)
        dispute = wanted or conflicts.look_into(project, listed[0].conflict_id)
        draw_list(listed, dispute)
    with card:
        draw_dispute(dispute)


def draw_list(listed: list[Conflict], shown: Dispute | None) -> None:
    paths = paths_of(*(each.pair for each in listed))
    for each in listed:
        here = shown is not None and each.conflict_id == shown.conflict.conflict_id
        st.button(
            components.as_text(disputes.line(each, paths)),
            key=f"conflicts.open.{each.conflict_id}",
            type="primary" if here else "secondary",
            width="stretch",
            on_click=choose,
            args=(each.conflict_id,),
        )


def draw_dispute(dispute: Dispute | None) -> None:
    if dispute is None:
        components.empty_state("Settled meanwhile", "Choose another conflict.")
        return
    key = str(uuid.uuid4())
    paths = paths_of(dispute.own.pair, *(claim.pair for claim in dispute.path))
    dispute_card(
        disputes.card(dispute, paths),
        key=f"conflicts.card.{dispute.conflict.conflict_id}",
        on_ruled=lambda ruling, place: settle(dispute, key, ruling, place),
    )


def draw_settled(count: int) -> None:
    if not count:
        components.empty_state("Nothing settled", "What leads decide is listed here.")
        return
    shown = conflicts.list_settled(project, limit=PAGE_ROWS, offset=page_of(count, "settled"))
    by_key = {each.words[0].key: each for each in shown}
    words = (word.pair for each in shown for word in each.words)
    paths = paths_of(*words, *(each.pair for each in shown))
    rows = [disputes.settled_row(each, paths) for each in shown]
    on_action = {"take_back": lambda key: take_back(by_key[key])}
    label_table(rows, key="conflicts.table", on_action=on_action)


components.page_header(
    "Conflicts", "Answers that cannot all be true. Until you settle them, training leaves them out."
)
if member.role.includes(Role.LEAD):
    open_count, settled_count = conflicts.count_open(project), conflicts.count_settled(project)
    view = st.radio(
        "Show",
        (OPEN, SETTLED),
        horizontal=True,
        key="conflicts.view",
        label_visibility="collapsed",
        persist_state="session",
    )
    st.caption(f"{open_count:,} open, {settled_count:,} settled")
    draw_reliability()
    draw_undo()
    draw_open(open_count) if view == OPEN else draw_settled(settled_count)
else:
    components.empty_state("Only leads settle conflicts", "Ask a lead of this project.")
