"""Choosing among trained models, and why one is not in use."""

import streamlit as st

from ui import components, tables
from workflow import rounds, succession
from workflow.project import Project


def kept_back(project: Project) -> None:
    """Why the newest model is not in use, where it is not."""
    found = succession.kept_back(project)
    if found is not None:
        words = f"{tables.run_name(found.run)} is kept, but not in use. {found.why.words}"
        st.info(components.as_text(words), icon=":material/info:", width=components.READABLE_PX)


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
