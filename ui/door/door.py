"""In front of all pages where people sign in: the way in, and for strangers whom to ask."""

import streamlit as st
from streamlit.errors import StreamlitAuthError

from domain.errors import AccessError
from ui import components, session, sign_in
from ui.sign_in import Stranger
from workflow import sign_ins

WIDTH_PX = 460
SET_UP = "docs/sign-in.md says how to set it up."


def draw(error: AccessError) -> None:
    """In place of any page."""
    middle = st.container(horizontal_alignment="center")
    with middle.container(border=True, width=WIDTH_PX, key="door", gap="medium"):
        st.title("Anneal", anchor=False)
        if isinstance(error, Stranger):
            _draw_stranger(error)
        else:
            _draw_sign_in()


def _draw_sign_in() -> None:
    st.markdown("Sign in to annotate, or to look after the project.")
    damaged, names = sign_in.unreadable_file(), sign_in.providers()
    if damaged is not None:
        _draw_broken(f"{damaged} cannot be read, so that nobody can sign in.")
    elif not names:
        _draw_broken("Sign-in is not set up completely: [auth] names no provider.")
    for name in names:
        label = "Sign in" if name == sign_in.DEFAULT else f"Sign in with {name.capitalize()}"
        if st.button(components.as_text(label), key=f"door.{name}", type="primary"):
            _go_to(name)


def _go_to(provider: str) -> None:
    try:
        st.login(None if provider == sign_in.DEFAULT else provider)
    except StreamlitAuthError as error:
        _draw_broken(f"Sign-in is not set up completely: {' '.join(str(error).split())}")


def _draw_broken(message: str) -> None:
    components.show_error(AccessError(message, SET_UP))


def _draw_stranger(error: Stranger) -> None:
    who = error.identity
    components.show_error(error)
    owners = sign_ins.whom_to_ask(session.project())
    names = " or ".join(owners) if owners else "the owner of this project"
    st.markdown(components.as_text(f"Ask {names} to add you, and pass this on:"))
    if who.email and who.verified:
        st.code(who.email, language=None, wrap_lines=True)
    else:
        st.code(f"{who.issuer}\n{who.subject}", language=None, wrap_lines=True)
        st.caption("Your provider does not say that an address is yours, so none can count.")
    with st.container(horizontal=True):
        st.button("Try again", key="door.again", type="primary")
        st.button("Sign out", key="door.out", on_click=st.logout)
