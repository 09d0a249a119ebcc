"""The button that signs out: a component, because unsent answers wait in the browser's storage."""

from pathlib import Path

import streamlit as st

from ui import session

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "anneal_sign_out",
    html='<button type="button">Sign out</button><p role="alert"></p>',
    css=(_HERE / "sign_out.css").read_text(encoding="utf-8"),
    js=(_HERE / "sign_out.js").read_text(encoding="utf-8"),
)


def sign_out_button() -> None:
    """Draw it; a press ends the session here and, where it offers that, at the provider."""
    pressed = _component(
        key="door.sign_out", data={"scope": session.scope(session.member())}, on_out_change=_wait
    )
    if pressed.out:
        st.logout()


def _wait() -> None:
    """Nothing to do: the rerun signs out."""
