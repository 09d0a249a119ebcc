"""Search page: the images most similar to one of the archive, under the current model."""

import streamlit as st

from ui import components, session
from ui.gallery.mount import Tile, image_grid
from workflow import labels, rounds, search
from workflow.search import Browsed

HOW_MANY = (10, 20, 50, 100)
PAGE_IMAGES = 24
QUERY = "image"  # in the address, so that a search can be kept and shared
project = session.project()


def choose(image_id: int) -> None:
    st.query_params[QUERY] = str(image_id)


def choose_none() -> None:
    st.query_params.pop(QUERY, None)


def chosen() -> int | None:
    text = st.query_params.get(QUERY, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def draw_results(image_id: int) -> None:
    left, right = st.columns([1, 4], gap="large")
    with left:
        st.header("Query", anchor=False)
        path = labels.paths(project).get(image_id, f"image {image_id}")
        image_grid([Tile(image_id, path)], name="Query", key="search.query", on_chosen=choose)
        st.button("Choose another image", key="search.other", on_click=choose_none)
    with right:
        st.header("Most similar", anchor=False)
        k = st.selectbox("How many", HOW_MANY, index=1, key="search.k", width=160)
        with components.errors_shown():
            hits = search.similar_images(project, image_id, k=k)
            tiles = [Tile(hit.image_id, hit.path, f"{hit.similarity:.3f}") for hit in hits]
            st.caption("The number is the cosine similarity, at most 1. Click a picture to go on.")
            image_grid(tiles, name="Most similar images", key="search.hits", on_chosen=choose)


def draw_archive() -> None:
    st.header("Choose an image", anchor=False)
    text = st.text_input(
        "Path contains", key="search.text", placeholder="all images", width=360, max_chars=200
    )
    found = search.browse(project, text.strip())
    if not found.images:
        components.empty_state("No image found", f"No path contains “{text.strip()}”.")
        return
    count = -(-len(found.images) // PAGE_IMAGES)
    page = st.pagination(count, key=f"search.page.{count}") if count > 1 else 1
    start = (page - 1) * PAGE_IMAGES
    shown = found.images[start : start + PAGE_IMAGES]
    tiles = [Tile(each.image_id, each.path) for each in shown]
    image_grid(tiles, name="Images of the archive", key="search.archive", on_chosen=choose)
    st.caption(shown_of(start, len(shown), found))


def shown_of(start: int, shown: int, found: Browsed) -> str:
    """Which images are on the page, out of how many."""
    among = components.counted(found.total, "image")
    if len(found.images) < found.total:
        among = f"{len(found.images):,} found among {among}"
    return f"{start + 1:,}–{start + shown:,} of {among}"


components.page_header("Search", "Find what looks alike to the model as it is now.")
query = chosen()
if not any(run.active for run in rounds.list_runs(project)):
    components.empty_state(
        "The images are still being prepared",
        "Search works as soon as the worker has computed their features.",
        "overview",
    )
elif query is None:
    draw_archive()
else:
    draw_results(query)
