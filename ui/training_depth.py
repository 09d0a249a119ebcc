"""The part of the Rounds page that says how deep a training reaches, and how long that takes."""

import streamlit as st

from domain.config import Depth, Strategy
from ui import components
from workflow import speed
from workflow.project import Project

DEPTH_PX = 350
NAMES = {
    Depth.AUTO: "As suits this machine",
    Depth.HEAD: "The head only",
    Depth.FULL: "The whole network",
}
HELP = (
    "The head turns the features of a network into what people here call similar. The whole "
    "network learns better features, and takes far longer."
)
_WORDS = {
    Depth.HEAD: "The features stay as they are; a head learns to read them.",
    Depth.FULL: (
        "The network that makes the features is retrained from pictures and answers, and used if "
        "it tells answers apart better that were held out. It can be cancelled, and goes on where "
        "it was."
    ),
}
# A curve of the loss is drawn where there are steps.
_GROUPS = (
    "The features stay as they are; the head for groups is worked out in one go, without steps "
    "and so without a loss to watch."
)


_FURTHER_WORDS = {
    Depth.HEAD: "The features stay as they are; the head is trained further.",
    Depth.FULL: (
        "The network that makes the features is trained further from pictures and answers, and "
        "then a head that reads it. It can be cancelled, and goes on where it was."
    ),
}


def choose(project: Project) -> Depth:
    """How deep the next training reaches."""
    names = [depth.value for depth in Depth]
    chosen = st.selectbox(
        "Train",
        names,
        index=names.index(project.config.training.depth.value),
        format_func=lambda name: NAMES[Depth(name)],
        help=HELP,
        width=DEPTH_PX,
        key="rounds.depth",
        persist_state="session",
    )
    return Depth(chosen)


def explain(project: Project, depth: Depth, strategy: str) -> None:
    """What that means on the worker's machine for a strategy, and how long it takes."""
    found = speed.read_speed(project)
    used = depth if found is None else speed.depth_used(depth, found.device)
    expected = speed.expected_words(project, depth)
    learns = _WORDS.get(used, "")
    if used is Depth.HEAD and strategy == Strategy.COMPONENTS:
        learns = _GROUPS
    words = f"{learns} {expected}".strip()
    st.caption(components.as_text(words), width=components.READABLE_PX)


def explain_further(project: Project, depth: Depth) -> None:
    """What training a model further means at a depth, head or full, and how long it takes."""
    words = f"{_FURTHER_WORDS[depth]} {speed.expected_words(project, depth)}"
    st.caption(components.as_text(words), width=components.READABLE_PX)
