"""The part of the Curves page that compares losses: models of the same answers, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import streamlit as st

from domain.loss_catalogue import loss_choice
from ui import components
from ui.charts import BLUE, CHART_HEIGHT_PX, GREY, Drawing
from workflow.curves import CurvePoint
from workflow.finetuning import FineTuning

COMPARED = (
    "Each of these models was trained further from the same checkpoint, on the same answers, with "
    "another loss."
)
START = "before fine-tuning"
HELD_OUT = "held_out"
_FIGURES: Mapping[str, str] = {
    "map": "mAP",
    "map_at_5_min": "mAP@5",
    HELD_OUT: "Ranking of held-out images",
    "average_precision": "Average precision of the next answers",
}
_ROW_PX = 34
_PERCENT = st.column_config.NumberColumn(format="%.1f %%")


def draw(compared: Mapping[str, Sequence[CurvePoint]]) -> None:
    """Chart and table of the losses of one model; nothing where there are none."""
    if not compared:
        return
    st.header("Losses compared", anchor=False)
    st.caption(COMPARED, width=components.READABLE_PX)
    names = list(compared)
    parent = names[0]
    if len(names) > 1:
        parent = st.selectbox(
            "Started from", names, key="curves.loss_parent", width=280, persist_state="session"
        )
    points = compared[parent]
    figures = [name for name in _FIGURES if any(_figure(each, name, points) for each in points)]
    if figures:
        titles = {name: _FIGURES[name] for name in figures}
        figure = components.choice("Figure", titles, "curves.loss_figure")
        components.chart(chart(points, figure))
    columns = dict.fromkeys(_FIGURES.values(), _PERCENT)
    rows = [_row(each, figures, points) for each in points]
    components.table(rows, columns)


def chart(points: Sequence[CurvePoint], figure: str) -> Drawing:
    """A dot a model; a line across at the checkpoint they all start from."""
    found = [(point, _figure(point, figure, points)) for point in points]
    dots = [_Dot(point.run, title(point), value) for point, value in found if value is not None]
    values = [dot.value for dot in dots]
    room = max(0.005, 0.15 * (max(values) - min(values)))
    scale = alt.Scale(domain=[max(0, min(values) - room), min(1, max(values) + room)], zero=False)
    drawing = alt.layer(*_across(dots, scale), _dots(dots, _FIGURES[figure], scale))
    drawing.height = min(CHART_HEIGHT_PX, 60 + _ROW_PX * len(dots))
    said = "; ".join(f"{dot.loss} {dot.value:.1%}" for dot in dots)
    return Drawing(drawing, f"{_FIGURES[figure]} by loss: {said}.")


@dataclass(frozen=True)
class _Dot:
    model: str
    loss: str
    value: float


def _dots(dots: Sequence[_Dot], name: str, scale: alt.Scale) -> alt.Chart:
    order = [dot.model for dot in sorted(dots, key=lambda dot: -dot.value)]
    base = alt.Chart(alt.InlineData(values=[vars(dot) for dot in dots])).encode(
        y=alt.Y("model:N", sort=order, title=None, axis=alt.Axis(labelLimit=260)),
        x=alt.X(
            "value:Q", scale=scale, title=f"{name} (%)", axis=alt.Axis(format="~%", tickCount=6)
        ),
        tooltip=[
            alt.Tooltip("model:N", title="model"),
            alt.Tooltip("loss:N", title="loss"),
            alt.Tooltip("value:Q", title=name, format=".1%"),
        ],
    )
    marks: alt.Chart = base.mark_point(size=90, filled=True, opacity=1, color=BLUE)
    return marks


def _across(dots: Sequence[_Dot], scale: alt.Scale) -> list[alt.Chart]:
    """A line at the start, if its figure is known."""
    start = [{"value": dot.value} for dot in dots if dot.loss == START][:1]
    base = alt.Chart(alt.InlineData(values=start)).encode(x=alt.X("value:Q", scale=scale))
    return [base.mark_rule(color=GREY, strokeDash=[4, 4])] if start else []


def title(point: CurvePoint) -> str:
    """The loss that a model was fine-tuned with, as people call it."""
    return START if point.fine_tuning is None else loss_choice(point.fine_tuning.loss).title


def _figure(point: CurvePoint, name: str, points: Sequence[CurvePoint]) -> float | None:
    """A figure of one of these models; all were judged on the same held-out images."""
    if name != HELD_OUT:
        return point.metrics.get(name)
    if point.fine_tuning is not None:
        return point.fine_tuning.after if point.fine_tuning.images else None
    others = (each.fine_tuning for each in points)
    return next((how.before for how in others if how is not None and how.images), None)


def _row(point: CurvePoint, figures: Sequence[str], points: Sequence[CurvePoint]) -> dict[str, Any]:
    how = point.fine_tuning
    values = {name: _figure(point, name, points) for name in figures}
    return {
        "Model": point.run,
        "Loss": title(point),
        **{_FIGURES[n]: None if v is None else 100 * v for n, v in values.items()},
        "Steps": None if how is None else how.steps,
        "Settings": "" if how is None else _settings(how),
    }


def _settings(how: FineTuning) -> str:
    """The parameters of the loss that are not the default."""
    usual = loss_choice(how.loss).values()
    return ", ".join(f"{k} = {v}" for k, v in how.parameters.items() if usual.get(k) != v)
