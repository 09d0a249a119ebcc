"""Groups of images that people's answers put together, as strips of pictures."""

import streamlit as st

from ui import components, session
from ui.gallery.mount import Picture, Strip, group_strips
from ui.map_chart import group_name
from workflow import explore
from workflow.explore import Group
from workflow.project import Project

PAGE_GROUPS, MOST_SHOWN = 10, 12
KEY = "labels.groups"
WORDS = (
    "Images that people called similar, directly or through others, the largest group first. What "
    "does not belong there: click it, and say on Search what it is different from."
)


def draw(project: Project) -> None:
    """The groups, a page at a time."""
    found = explore.groups(project)
    if not found:
        components.empty_state(
            "No groups yet", "The first answer “similar” makes a group of two images.", "annotate"
        )
        return
    st.caption(WORDS, width=components.READABLE_PX)
    start = PAGE_GROUPS * min(session.page_number(KEY), (len(found) - 1) // PAGE_GROUPS)
    shown = found[start : start + PAGE_GROUPS]
    components.pager(KEY, more=len(found) > start + PAGE_GROUPS)
    of_page = [each for group in shown for each in group.image_ids[:MOST_SHOWN]]
    paths = explore.paths(project, of_page)
    strips = [_strip(start + at + 1, group, paths) for at, group in enumerate(shown)]
    acted = group_strips(strips, key=KEY)
    if acted is None:
        return
    what, image_id = acted
    if what == "group":
        st.switch_page("views/explore.py", query_params={"group": str(image_id)})
    st.switch_page("views/search.py", query_params={"image": str(image_id)})


def _strip(number: int, group: Group, paths: dict[int, str]) -> Strip:
    some = group.image_ids[:MOST_SHOWN]
    pictures = tuple(Picture(each, paths.get(each, f"image {each}")) for each in some)
    more = len(group.image_ids) - len(some)
    words = f"All {len(group.image_ids):,} on Explore" if more else "See it on Explore"
    return Strip(group_name(number, group).capitalize(), pictures, words)
