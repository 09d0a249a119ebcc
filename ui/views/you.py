"""You page: who is in front of the screen, where nobody signs in."""

import streamlit as st

from domain.members import Member
from ui import components, session
from workflow import members

FIELD_PX = 320
ROLES = {
    "annotator": "answers pairs",
    "lead": "answers pairs, starts rounds, sees everybody's answers",
    "owner": "a lead who also gives roles",
}
project, you = session.project(), session.member()


def be(member_id: int) -> None:
    session.act_as(member_id)


def join() -> None:
    """Whoever sits at this machine may join as an annotator, as they may be its owner."""
    joined: list[Member] = []
    components.attempt(
        lambda: joined.append(members.join(project, session.field("you.name"))),
        needs=you.role,
    )
    for member in joined:
        session.act_as(member.member_id)


def draw_choice() -> None:
    st.header("Somebody else?", anchor=False)
    others = [each for each in members.list_members(project) if each != you]
    if others:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            chosen = st.selectbox(
                "Members", others, format_func=lambda each: each.name, key="you.who", width=FIELD_PX
            )
            st.button("That is me", key="you.change", on_click=be, args=(chosen.member_id,))
    with st.form("you.join", border=False, width=2 * FIELD_PX):
        st.text_input("New here? Your name", key="you.name", max_chars=80, width=FIELD_PX)
        st.form_submit_button("Join as annotator", on_click=join)


components.page_header("You", "Every answer is stored with the name of the person who gave it.")
st.markdown(
    f"You are **{components.as_text(you.name)}**, {you.role.value}: {ROLES[you.role.value]}.",
    width=components.READABLE_PX,
)
draw_choice()
st.caption(
    "This app is not open to other machines and asks for no password. What you choose counts for "
    "this tab, also after a reload: the address says who you are.",
    width=components.READABLE_PX,
)
