"""Search page: the images most similar to one of the archive, or to a picture of one's own."""

import streamlit as st

from domain.errors import AnnealError
from domain.members import Role
from ui import components, results, session
from ui.gallery.mount import Click, Tile, image_grid, result_grid
from ui.nearest import NEAR
from workflow import marks, queries, rounds, search
from workflow.search import Browsed, Hit, Only

PAGE_IMAGES = 24
MOST_SHOWN = 20 * PAGE_IMAGES
QUERY, SHOWN = "image", "show"  # in the address, so that a search can be kept and shared
FILE_TYPES = ["jpg", "jpeg", "png", "tif", "tiff"]
project, member = session.project(), session.member()
sees_numbers = member.role.includes(Role.LEAD)


def choose(image_id: int) -> None:
    st.query_params.from_dict({QUERY: str(image_id)})


def choose_none() -> None:
    st.query_params.clear()


def show_more() -> None:
    st.query_params[SHOWN] = str(shown_now() + PAGE_IMAGES)


def number_in_address(name: str) -> int | None:
    text = st.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def shown_now() -> int:
    return min(max(number_in_address(SHOWN) or 0, PAGE_IMAGES), MOST_SHOWN)


def upload(label: str) -> bytes | None:
    """A picture of the reader's own; forgotten as soon as an image of the archive is chosen."""
    brought = st.file_uploader(
        label, FILE_TYPES, key=f"search.upload.{number_in_address(QUERY)}", max_upload_size=50
    )
    return None if brought is None else brought.getvalue()


def draw_filter() -> Only:
    with st.container(horizontal=True):
        part = st.selectbox(
            "Which images",
            list(results.PARTS),
            key="search.part",
            width=260,
            persist_state="session",
        )
        text = st.text_input(
            "Path contains",
            key="search.text",
            placeholder="any path",
            width=260,
            max_chars=200,
            persist_state="session",
        )
    return Only(results.PARTS[part], text.strip())


def draw_hits(hits: list[Hit], query_id: int | None, only: Only) -> None:
    """The ranked grid; around an image of the archive its results can be marked."""

    def marked(click: Click) -> None:
        if query_id is not None:
            store_mark(query_id, click)

    if not hits:
        components.empty_state("No image found", results.nothing_found(only))
        return
    ids = [hit.image_id for hit in hits]
    known = {} if query_id is None else marks.marks(project, member, query_id, ids)
    tiles = results.ranked(hits, known, numbers=sees_numbers, markable=query_id is not None)
    result_grid(
        tiles,
        name="Most similar images",
        key="search.hits",
        on_chosen=choose,
        on_marked=marked,
    )
    if len(hits) == shown_now() < MOST_SHOWN:
        st.button("Show more", key="search.more", on_click=show_more)


def store_mark(query_id: int, click: Click) -> None:
    if click.kind == "undo":
        components.attempt(
            marks.unmark,
            project,
            member,
            query_id,
            click.id,
            after=click.after,
            done="Taken back.",
        )
        return
    components.attempt(
        marks.mark,
        project,
        member,
        query_id,
        click.id,
        similar=click.kind == "similar",
        after=click.after,
        done=results.thanks(project, query_id, click.id),
    )


def draw_chosen(image_id: int) -> None:
    """An image that the address names; where there is none, the others to choose from."""
    try:
        search.find_image(project, image_id)
    except AnnealError as error:
        components.show_error(error)
        draw_archive()
    else:
        draw_archive_query(image_id)


def draw_archive_query(image_id: int, *, uploaded: bool = False) -> None:
    with components.errors_shown():
        image = search.find_image(project, image_id)
        left, right = st.columns([1, 4], gap="large")
        with left:
            st.header("Query", anchor=False)
            if not uploaded:  # the file is put away where it was chosen
                st.button("Choose another", key="search.other", on_click=choose_none)
            tiles = [Tile(image_id, image.path)]
            image_grid(tiles, name="Query", key="search.query", on_chosen=choose)
            if sees_numbers:
                components.page_link(
                    "explore", "Ask others about these", query={NEAR: str(image_id)}
                )
        with right:
            st.header("Most similar", anchor=False)
            only = draw_filter()
            st.caption(results.words(numbers=sees_numbers, markable=True))
            draw_hits(
                search.similar_images(project, image_id, k=shown_now(), only=only), image_id, only
            )


def draw_own_picture(content: bytes) -> None:
    with components.errors_shown():
        with st.spinner("Looking at the picture …"):
            query = queries.embedded(project, content)
        same = search.same_content(project, query.sha256)
        if same is not None:
            st.info(f"This picture is in the archive: {components.as_text(same.path)}")
            draw_archive_query(same.image_id, uploaded=True)
            return
        left, right = st.columns([1, 4], gap="large")
        with left:
            st.header("Query", anchor=False)
            st.image(str(query.picture), width="stretch", alt="Your picture")
        with right:
            st.header("Most similar", anchor=False)
            only = draw_filter()
            st.caption(results.words(numbers=sees_numbers, markable=False))
            draw_hits(
                search.nearest_to(project, query.vector, k=shown_now(), only=only), None, only
            )


def draw_archive() -> None:
    st.header("Or choose an image of the archive", anchor=False)
    only = draw_filter()
    found = search.browse(project, only.text, only.part)
    if not found.images:
        components.empty_state("No image found", results.nothing_found(only))
        return
    count = -(-len(found.images) // PAGE_IMAGES)
    page = (
        st.pagination(count, key=f"search.page.{count}", persist_state="session")
        if count > 1
        else 1
    )
    start = (page - 1) * PAGE_IMAGES
    shown = found.images[start : start + PAGE_IMAGES]
    tiles = [Tile(each.image_id, each.path) for each in shown]
    st.caption(shown_of(start, len(shown), found))
    image_grid(tiles, name="Images of the archive", key="search.archive", on_chosen=choose)


def shown_of(start: int, shown: int, found: Browsed) -> str:
    """Which images are on the page, out of how many."""
    among = components.counted(found.total, "image")
    if len(found.images) < found.total:
        among = f"{len(found.images):,} found among {among}"
    return f"{start + 1:,}–{start + shown:,} of {among}"


components.page_header("Search", "Find what looks alike to the model as it is now.")
if not any(run.active for run in rounds.list_runs(project)):
    components.empty_state(
        "The images are still being prepared",
        "Search works as soon as the worker has computed their features.",
        "overview",
    )
else:
    st.caption(components.as_text(search.model_in_words(project)), width=components.READABLE_PX)
    chosen = number_in_address(QUERY)
    own = upload("Search with a picture of your own")
    if own is not None:
        draw_own_picture(own)
    elif chosen is not None:
        draw_chosen(chosen)
    else:
        draw_archive()
