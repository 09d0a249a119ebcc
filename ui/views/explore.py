"""Explore page: the archive as a map, to see what the model puts together."""

import streamlit as st

from domain.members import Role
from ui import components, session
from ui.asking import ask_these
from ui.gallery.mount import Tile, image_grid
from ui.map_chart import SELECTION, drawn_words, group_name, map_chart
from ui.nearest import NEAR, nearest_to_one
from workflow import explore
from workflow.explore import ArchiveMap, Group

MOST_TILES = 48
MAP, GRID, PAGE, WHICH = "explore.map", "explore.grid", "explore.page", "explore.which"
SELECTED = "What I select on the map"
NEAREST = "The images nearest to one"
GROUP = "group"  # in the address: a group by one of its images, where Labels leads
project, member = session.project(), session.member()


def go_on(image_id: int) -> None:
    """The switch follows when the page is drawn: a callback cannot do it."""


def draw_map(shown: ArchiveMap, groups: list[Group]) -> list[int] | None:
    """The chart; ids of the images in the selected rectangle, None without one."""
    rows = [int(each) for each in shown.image_ids[shown.drawn(shown.in_groups(groups))]]
    drawing = map_chart(
        shown,
        groups,
        paths=explore.paths(project, rows),
        picture_version=session.signer().fingerprint(),
    )
    chosen = st.altair_chart(
        drawing.legible(),
        width="stretch",
        height=drawing.height_px,
        key=f"{MAP}.{shown.run}",
        on_select="rerun",
        alt=drawing.words,
    )
    box = chosen["selection"].get(SELECTION) or {}
    if "x" not in box or "y" not in box:
        return None
    return [int(each) for each in shown.inside(box["x"], box["y"])]


def draw_images(image_ids: list[int], name: str) -> None:
    pages = -(-len(image_ids) // MOST_TILES)
    key = f"{PAGE}.{name}.{len(image_ids)}"
    page = st.pagination(pages, key=key, persist_state="session") if pages > 1 else 1
    start = (page - 1) * MOST_TILES
    shown = image_ids[start : start + MOST_TILES]
    paths = explore.paths(project, shown)
    tiles = [Tile(each, paths.get(each, f"image {each}")) for each in shown]
    which = f", {start + 1:,}–{start + len(shown):,} shown" if pages > 1 else ""
    st.caption(f"{components.counted(len(image_ids), 'image')}{which}. Click one to search for it.")
    image_grid(tiles, name=name, key=GRID, on_chosen=go_on)
    chosen = session.component_value(GRID, "chosen")
    if isinstance(chosen, int):
        st.switch_page("views/search.py", query_params={"image": str(chosen)})


def draw_selected(image_ids: list[int]) -> None:
    """Images that a lead selected, with the way to have their pairs asked."""
    if image_ids:
        ask_these(image_ids)
        draw_images(image_ids, "Selected images")
    else:
        components.empty_state("No image lies there", "Select others.")


def draw(shown: ArchiveMap, groups: list[Group]) -> None:
    st.caption(drawn_words(shown, groups), width=components.READABLE_PX)
    inside = draw_map(shown, groups)
    names = {group_name(at + 1, each): each for at, each in enumerate(groups)}
    st.header("Images", anchor=False)
    in_address = {str(i): name for name, each in names.items() for i in each.image_ids}
    if NEAR in st.query_params:
        session.follow_address(NEAR, WHICH, {st.query_params[NEAR]: NEAREST})
    else:
        session.follow_address(GROUP, WHICH, in_address)
    choices = [SELECTED, NEAREST, *names]
    which = st.selectbox("Show", choices, key=WHICH, width=360, persist_state="session")
    if which in names:
        draw_images(list(names[which].image_ids), which)
    elif which == NEAREST:
        draw_selected(nearest_to_one(project))
    elif inside is None:
        st.caption(
            "Nothing is selected: draw a rectangle on the map, or choose the images nearest to one "
            "above, to see them and have pairs of them asked. Some images of the archive:"
        )
        draw_images(shown.spread_out(MOST_TILES // 4), "Some images of the archive")
    else:
        draw_selected(inside)


components.page_header(
    "Explore",
    "Every image a point: the nearer two are, the more alike the model finds them, as far as a "
    "plane can show it.",
)
run = explore.active_run_name(project)
if not member.role.includes(Role.LEAD):  # it shows what others answered
    components.empty_state("Only leads see the map", "Ask a lead of this project.")
elif run is None:
    components.empty_state(
        "The images are still being prepared",
        "The map is there as soon as the worker has computed their features.",
        "overview",
    )
else:
    with components.errors_shown():
        draw(session.archive_map(run), explore.groups(project))
