"""The map of the archive as a chart: points to look at, hover and select."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from ui.charts import COLOURS, Drawing
from ui.components import counted
from workflow.explore import ArchiveMap, Group

HEIGHT_PX = 520
MOST_COLOURED = 6  # more colours and shapes cannot be told apart
SELECTION = "rectangle"
OTHER, ALONE = "in a smaller group", "in no group yet"
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
OTHER_COLOUR, ALONE_COLOUR = "#696f77", "#8c929a"  # not told apart within


def group_name(number: int, group: Group) -> str:
    """A group in words; numbered from 1, the largest first."""
    return f"group {number}: {counted(len(group.image_ids), 'image')}"


def map_chart(
    shown: ArchiveMap, groups: Sequence[Group], *, paths: Mapping[int, str], picture_version: str
) -> Drawing:
    """Every drawn image a point, coloured by its group; a rectangle can be drawn with the mouse.

    Args:
        shown: the map.
        groups: the largest first.
        paths: of the drawn images.
        picture_version: makes the addresses of pictures cacheable.
    """
    named = _names(groups)
    rows = shown.drawn(shown.in_groups(groups))
    names = [group_name(at + 1, each) for at, each in enumerate(groups[:MOST_COLOURED])]
    legend = [*names, OTHER, ALONE]
    points = [_point(shown, int(row), named, paths, picture_version) for row in rows]
    chart = (
        alt.Chart(alt.InlineData(values=sorted(points, key=lambda each: each["rank"])))
        .mark_point(filled=True, opacity=0.75, strokeWidth=0, aria=False)
        .encode(
            x=alt.X("x:Q", title=_axis("first", shown.shares[0]), axis=_AXIS),
            y=alt.Y("y:Q", title=_axis("second", shown.shares[1]), axis=_AXIS),
            color=alt.Color("group:N", scale=_scale(legend, COLOURS, names), legend=_LEGEND),
            shape=alt.Shape("group:N", scale=_shape_scale(legend, names), legend=_LEGEND),
            size=alt.condition("datum.rank > 0", alt.value(70), alt.value(26)),
            tooltip=[alt.Tooltip("image:N"), alt.Tooltip("path:N"), alt.Tooltip("group:N")],
        )
        .add_params(alt.selection_interval(name=SELECTION))
    )
    chart.height = HEIGHT_PX
    chart.usermeta = _AS_SVG
    return Drawing(chart, _words(shown, groups, len(rows)))


def drawn_words(shown: ArchiveMap, groups: Sequence[Group]) -> str:
    """How many images are drawn, out of how many."""
    count, drawn = len(shown.image_ids), len(shown.drawn(shown.in_groups(groups)))
    if drawn == count:
        return f"All {count:,} images are drawn."
    return (
        f"{drawn:,} of {count:,} images are drawn, those in groups first, the rest at random; a "
        "rectangle selects all that lie in it."
    )


# Streamlit draws more than 2,000 points on a canvas, which cannot know the page's colour of text.
_AS_SVG = {"embedOptions": {"renderer": "svg"}}
_AXIS = alt.Axis(ticks=False, labels=False, grid=False)
_LEGEND = alt.Legend(orient="bottom", columns=2, title=None, symbolOpacity=1, labelLimit=300)


def _names(groups: Sequence[Group]) -> dict[int, str]:
    """What each image that is in a group is called in the legend."""
    return {
        image_id: group_name(at + 1, group) if at < MOST_COLOURED else OTHER
        for at, group in enumerate(groups)
        for image_id in group.image_ids
    }


def _point(
    shown: ArchiveMap, row: int, named: Mapping[int, str], paths: Mapping[int, str], version: str
) -> dict[str, Any]:
    image_id = int(shown.image_ids[row])
    group = named.get(image_id, ALONE)
    return {
        "x": round(float(shown.points[row, 0]), 4),
        "y": round(float(shown.points[row, 1]), 4),
        "group": group,
        "rank": 0 if group == ALONE else 1 if group == OTHER else 2,  # what matters lies on top
        "image": f"/api/images/{image_id}?size=256&v={version}",
        "path": paths.get(image_id, f"image {image_id}"),
    }


def _axis(which: str, share: float) -> str:
    return f"{which} direction, {share:.0%} of the spread"


def _scale(legend: Sequence[str], colours: Sequence[str], names: Sequence[str]) -> alt.Scale:
    return alt.Scale(
        domain=list(legend), range=[*colours[: len(names)], OTHER_COLOUR, ALONE_COLOUR]
    )


def _shape_scale(legend: Sequence[str], names: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(legend), range=[*_SHAPES[: len(names)], "circle", "circle"])


def _words(shown: ArchiveMap, groups: Sequence[Group], drawn: int) -> str:
    largest = f", the largest of {len(groups[0].image_ids)}" if groups else ""
    return (
        f"Map of {drawn} of {len(shown.image_ids)} images; answers put some of them into "
        f"{counted(len(groups), 'group')}{largest}. Choose a group below to see it as pictures."
    )
