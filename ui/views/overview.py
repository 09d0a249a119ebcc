"""Overview page: where the project stands, and the one thing to do next."""

import streamlit as st

from domain.answers import Propagation
from domain.images import Part
from ui import components, live, session
from workflow.status import Overview, overview

IMPLIED = {
    Propagation.OFF: "Answered pairs only: nothing is implied.",
    Propagation.ONE_STEP: "Answered pairs, and those that two answers imply.",
    Propagation.CLOSURE: "Answered pairs, and all that chains of answers imply.",
}


def draw_counts(state: Overview) -> None:
    effort = state.effort
    bits = (
        f"Answers that stand: {effort.similar} similar, {effort.dissimilar} different. "
        f"Besides: {effort.unsure} unsure, {effort.skipped} skipped."
    )
    with st.container(key="overview.counts"), st.grid(4, min_column_width=150):
        components.figure("Images", state.images, "Readable images of the archive.")
        components.figure("Bits", effort.bits, bits)
        components.figure("Known pairs", state.known_pairs, IMPLIED[state.propagation])
        components.figure("Conflicts", state.conflicts, "Answers that cannot all be true.")
    with st.container(key="overview.links"):
        draw_links(state)


def draw_links(state: Overview) -> None:
    if state.conflicts:
        settle = f"Settle {components.counted(state.conflicts, 'conflict')}"
        components.page_link("conflicts", settle)
    if state.flags:
        flagged = f"Look at {components.counted(state.flags, 'flag')} of annotators"
        components.page_link("labels", flagged, query={"show": "flags"})


def draw_model(state: Overview) -> None:
    st.header("Model", anchor=False)
    st.markdown(components.as_text(state.model_state))
    if state.learning is not None:
        st.caption(components.as_text(state.learning))
    if state.active_run is not None:
        components.page_link("curves", "How good is it?")


def draw_archive(state: Overview) -> None:
    st.header("Archive", anchor=False)
    parts = state.parts
    classes = "Folders are classes." if state.has_classes else "Folders are not classes."
    st.markdown(
        f"{parts[Part.TRAIN]:,} images are asked about and learnt from; "
        f"{parts[Part.VALIDATION]:,} queries and {parts[Part.TEST]:,} gallery images only measure "
        f"quality. {classes}",
        width=components.READABLE_PX,
    )
    if state.quarantined:
        with st.expander(components.counted(len(state.quarantined), "unusable file")):
            rows = [{"File": each.path, "Reason": each.reason} for each in state.quarantined]
            components.table(rows)


project = session.project()
state = overview(project)
components.page_header("Overview", f"Where the project “{state.project_name}” stands.")
components.step_card(state.next_step, here="overview")
for warning in state.warnings:
    st.warning(components.as_text(warning), icon=":material/warning:")
live.follow_jobs(project)
draw_counts(state)
left, right = st.columns(2, gap="large")
with left:
    st.header("Current round", anchor=False)
    live.follow_round(project)
    if state.round is not None:
        components.round_notes(state.round.notes)
    for words in (state.consistency, state.reliability):
        if words is not None:
            st.caption(components.as_text(words))
    if state.unreliable is not None:
        st.info(components.as_text(state.unreliable), icon=":material/rule:")
with right:
    draw_model(state)
draw_archive(state)
