"""The part of the Curves page that shows what simulations reached, with bands over their seeds."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import streamlit as st

from ui import components
from ui.charts import (
    CHART_HEIGHT_PX,
    COLOURS,
    EFFORTS,
    GREY,
    RETRIEVAL_METRICS,
    Drawing,
)
from ui.components import counted
from workflow import simulated
from workflow.curves import CurvePoint
from workflow.simulated import BandPoint

EXPLAINED = (
    "Which strategy would have brought how much: the curve.csv that `python cli.py simulate` "
    "writes, with a band in which the mean of all seeds lies with 95 % confidence."
)
OWN = "this project"
BOUND = "all"  # the name that simulations have for knowing every relation
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [4, 4])


def draw(points: Sequence[CurvePoint]) -> None:
    """Choose a file, a metric, and see strategies beside the project's own models."""
    st.header("Beside simulations", anchor=False)
    st.markdown(EXPLAINED, width=components.READABLE_PX)
    brought = st.file_uploader("curve.csv", ["csv"], key="curves.simulation")
    if brought is None:
        return
    with components.errors_shown():
        rows = simulated.read_simulation(brought.getvalue(), [*RETRIEVAL_METRICS])
        there = {name for row in rows for name in row.metrics}
        offered = {name: title for name, title in RETRIEVAL_METRICS.items() if name in there}
        metric = components.choice("Metric of the simulations", offered, "curves.simulated_metric")
        components.chart(chart(simulated.bands(rows, metric), points, metric))


def chart(bands: Sequence[BandPoint], own: Sequence[CurvePoint], metric: str) -> Drawing:
    """A line with its band a strategy, told apart by colour and dashes, and the project's own."""
    drawn = [*_with_bound_across(bands), *_as_band(own, metric)]
    names = list(dict.fromkeys(each.strategy for each in drawn))
    base = alt.Chart(alt.InlineData(values=[vars(each) for each in drawn])).encode(
        x=alt.X("bits:Q", title=EFFORTS["bits"]),
        color=alt.Color("strategy:N", scale=_scale(names, COLOURS, GREY), legend=_LEGEND),
    )
    title = f"{RETRIEVAL_METRICS[metric]} (%)"
    high = alt.Y(
        "high:Q", title=title, axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)
    )  # the first of both, whose axis is drawn
    dashes = alt.StrokeDash("strategy:N", scale=_scale(names, DASHES, DASHES[0]), legend=_LEGEND)
    layered = alt.layer(
        base.mark_area(opacity=0.2).encode(y=high, y2="low:Q"),
        base.mark_line(point=True).encode(y=alt.Y("mean:Q", title=title), strokeDash=dashes),
    )
    layered.height = CHART_HEIGHT_PX
    return Drawing(layered, _words(drawn, names, RETRIEVAL_METRICS[metric]))


_LEGEND = alt.Legend(orient="bottom", columns=2, title=None, labelLimit=300)


def _with_bound_across(bands: Sequence[BandPoint]) -> list[BandPoint]:
    """What all relations bring as a line across: that many bits compare with nothing."""
    curves = [each for each in bands if each.strategy != BOUND]
    bound = [each for each in bands if each.strategy == BOUND][-1:]
    longest = max((each.bits for each in curves), default=0.0)
    across = [replace(each, bits=at) for each in bound for at in (0.0, longest)]
    return [*curves, *across]


def _as_band(own: Sequence[CurvePoint], metric: str) -> list[BandPoint]:
    """The project's own models, of each of which there is one."""
    reached = [(each.bits, each.metrics[metric]) for each in own if metric in each.metrics]
    return [BandPoint(OWN, bits, value, value, value, 1) for bits, value in reached]


def _scale(names: Sequence[str], signs: Sequence[Any], of_own: Any) -> alt.Scale:
    """A sign for each strategy, anew from the first where there are more, and the project's."""
    chosen = [signs[at % len(signs)] for at in range(len(names))]
    return alt.Scale(
        domain=list(names),
        range=[of_own if name == OWN else sign for name, sign in zip(names, chosen, strict=True)],
    )


def _words(bands: Sequence[BandPoint], names: Sequence[str], title: str) -> str:
    said = []
    for name in names:
        last = max((each for each in bands if each.strategy == name), key=lambda each: each.bits)
        half = (last.high - last.low) / 2
        spread = f" plus or minus {half:.1%}, {counted(last.seeds, 'seed')}" if half else ""
        said.append(f"{name}: {last.mean:.1%} at {last.bits:,.0f} bits{spread}")
    return f"{title} of simulations against bits. {'; '.join(said)}."
