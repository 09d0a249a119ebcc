"""You page: who is in front of the screen, and the way out for who signed in."""

import streamlit as st

from domain.members import Member
from ui import components, session, sign_in
from ui.door.sign_out import sign_out_button
from workflow import members

FIELD_PX = 320
ROLES = {
    "annotator": "answers pairs",
    "lead": "answers pairs, starts rounds, sees everybody's answers",
    "owner": "a lead who also gives roles",
}
OTHER_TABS = "Other open tabs of this browser stay signed in until they are reloaded or closed."
NO_PASSWORD = (
    "This app is not open to other machines and asks for no password. What you choose counts for "
    "this tab, also after a reload: the address says who you are."
)
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
if sign_in.is_set_up():
    st.caption(components.as_text(f"Signed in as {sign_in.identity()}."))
    sign_out_button()
    st.caption(OTHER_TABS, width=components.READABLE_PX)
else:
    draw_choice()
    st.caption(NO_PASSWORD, width=components.READABLE_PX)
