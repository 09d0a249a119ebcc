"""Choosing among trained models."""

import streamlit as st

from ui import components, tables
from workflow import rounds
from workflow.project import Project


def model_menu(project: Project) -> None:
    """A menu to use an earlier model again; drawn where there is a choice."""
    trained = rounds.list_runs(project)
    if len(trained) < 2:
        return

    def use(run_name: str) -> None:
        done = "It is used from now on."
        if not rounds.is_embedded(project, run_name):
            done = "The images are embedded with it first; then it is used."
        components.attempt(rounds.activate, project, run_name, done=done)

    with st.expander("Use another model"):
        st.caption("Search and the next proposals use the model chosen here; nothing is deleted.")
        run = st.selectbox("Model", trained[::-1], format_func=tables.run_name, key="rounds.run")
        st.button("Use it", key="rounds.use", on_click=use, args=(run.name,), disabled=run.active)
