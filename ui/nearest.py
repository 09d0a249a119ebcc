"""The images nearest to one that is named: a selection without a mouse, or from Search."""

import streamlit as st

from workflow import search
from workflow.by_hand import MOST_IMAGES
from workflow.project import Project

NEAR = "near"  # in the address: the image to begin with, where Search leads
MOST_OFFERED, USUAL = 50, 12


def nearest_to_one(project: Project) -> list[int]:
    """Fields that name an image and say how many; it and those nearest to it, empty without one.

    Raises:
        AnnealError: it has no embedding.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        image_id = _named(project)
        count = st.number_input(
            "How many images",
            2,
            MOST_IMAGES,
            USUAL,
            key="explore.near.count",
            persist_state="session",
            width=160,
        )
    if image_id is None:
        return []
    found = search.similar_images(project, image_id, k=count - 1)
    return [image_id, *(each.image_id for each in found)]


def _named(project: Project) -> int | None:
    text = st.text_input(
        "Path contains",
        key="explore.near.text",
        persist_state="session",
        placeholder="any path",
        width=260,
        max_chars=200,
    )
    found = search.browse(project, text.strip()).images
    begin = [each for each in found if str(each.image_id) == st.query_params.get(NEAR)]
    offered = {each.image_id: each.path for each in [*begin, *found[:MOST_OFFERED]]}
    more = f", the first {MOST_OFFERED} of {len(found):,}" if len(found) > MOST_OFFERED else ""
    return st.selectbox(
        f"Image{more}",
        list(offered),
        format_func=lambda image_id: offered.get(image_id, ""),
        key="explore.near.image",
        persist_state="session",
        placeholder="no path contains that",
        width=360,
    )
