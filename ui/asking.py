"""Ask about selected images: how many pairs there are, and a button that puts some in the queue."""

from collections.abc import Sequence

import streamlit as st

from ui import components, session
from ui.components import counted
from workflow import by_hand
from workflow.by_hand import MOST_IMAGES, MOST_PAIRS, Among

USUAL = 20  # pairs: a minute of somebody's time
FIELD_PX = 170


def ask_these(image_ids: Sequence[int]) -> None:
    """What can be asked about the pairs of these images, and the way to do it."""
    project = session.project()
    found = by_hand.among(project, image_ids)
    st.caption(in_words(found), width=components.READABLE_PX)
    if not found.open:
        return
    most = min(len(found.open), MOST_PAIRS)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.number_input(
            "Pairs to ask",
            1,
            most,
            min(most, USUAL),
            key=f"explore.pairs.{most}",  # a bound that changes would not fit the number in it
            help=f"Those the model is least sure of come first; at most {MOST_PAIRS} at once.",
            width=FIELD_PX,
        )
        st.button("Ask these", key="explore.ask", on_click=_ask, args=(image_ids, count))


def in_words(found: Among) -> str:
    """How many pairs the images make, and why some of them are not asked."""
    if found.images < 2:
        return "No pair of these images can be asked: it takes two different ones to learn from."
    nearest = " and lie nearest" if found.images == MOST_IMAGES else ""
    parts = [
        f"{found.known:,} known already" if found.known else "",
        f"{found.in_queue:,} in the round's queue" if found.in_queue else "",
        f"{len(found.open):,} that can be asked" if found.open else "none that can be asked",
    ]
    pairs = counted(found.known + found.in_queue + len(found.open), "pair")
    return (
        f"Among the {found.images} images that can be learnt from{nearest} there are {pairs}: "
        f"{', '.join(filter(None, parts))}."
    )


def _ask(image_ids: Sequence[int], count: int) -> None:
    done = f"{counted(count, 'pair')} will be asked next, before all others."
    who = session.member()
    components.attempt(by_hand.ask, session.project(), who, image_ids, count=count, done=done)
