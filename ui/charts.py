"""Charts of quality against effort, for both themes and for every kind of colour sight."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import altair as alt

# Altair asks whether pandas is loaded; half loaded by another person's first page, it would fail.
import pandas as pd  # noqa: F401

from ui.tables import STRATEGIES
from workflow.curves import CurvePoint

# Blue and vermilion after Okabe and Ito, told apart with every common colour sight; darker or
# lighter than theirs so that text in them has a contrast of 4 on white and on the dark theme.
BLUE = "#1a7fc1"
VERMILION = "#cf5b00"
GREY = "#7b828c"  # for lines of reference
# Groups and strategies: as far apart as six can be for every sight, beside greys and on both
# themes (tests/ui/test_colour_sight.py); shapes or dashes say the same.
COLOURS = (BLUE, VERMILION, "#007957", "#a94f97", "#b48e3e", "#545dc4")
TEXT = "currentColor"  # of the page around: Streamlit's own grey is too faint on white
EFFORTS: Mapping[str, str] = {
    "bits": "bits (similar and different answers)",
    "minutes": "minutes of people's time",
}
GUESSING = 0.5
FEWEST = 10  # bits or minutes: the axis is at least so long
AXIS_STEP = 0.05
CHART_HEIGHT_PX = 320

RETRIEVAL_METRICS: Mapping[str, str] = {
    "map_at_5_min": "mAP@5",
    "map_at_5_hits": "mAP@5, as in the papers",
    "map": "mAP",
}
OF_THE_PAPERS = "map_at_5_hits"
JUDGED_METRICS: Mapping[str, str] = {"auc": "AUC", "balanced_accuracy": "Balanced accuracy"}
AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart
Rows = Sequence[Mapping[str, Any]]
_POINT_COLUMNS = ("run", "round", "strategy", "loss", "bits", "minutes", "answers", "known_pairs")


@dataclass(frozen=True)
class Drawing:
    """A chart, and what it says in words for those who cannot see it."""

    chart: AnyChart
    words: str

    @property
    def height_px(self) -> int:
        """The room that it takes, to be kept free while the page loads."""
        height = self.chart.height
        return height if isinstance(height, int) else CHART_HEIGHT_PX

    def legible(self) -> AnyChart:
        """The chart with its axes and legend in the page's colour of text, in either theme."""
        drawn: AnyChart = self.chart.configure_axis(labelColor=TEXT, titleColor=TEXT)
        drawn = drawn.configure_legend(labelColor=TEXT, titleColor=TEXT)
        return drawn


def retrieval_metrics(points: Sequence[CurvePoint]) -> list[str]:
    """The retrieval metrics that some point has; none where folders are not classes."""
    return [name for name in RETRIEVAL_METRICS if any(name in point.metrics for point in points)]


def retrieval_chart(
    points: Sequence[CurvePoint],
    metric: str,
    *,
    effort: str = "bits",
    published: Mapping[str, float] = MappingProxyType({}),
) -> Drawing:
    """One retrieval metric against bits or minutes, a point a model.

    Where questions were chosen in several ways, the shape of a point says how. Models that were
    kept back are off the line.

    Args:
        points: in the order of effort.
        metric: a key of `RETRIEVAL_METRICS`.
        effort: a key of `EFFORTS`.
        published: figures of a paper by what they are of, drawn as lines across.
    """
    title = RETRIEVAL_METRICS[metric]
    drawn = [point for point in points if metric in point.metrics]
    everything = [_row(point, title, point.metrics[metric], effort) for point in drawn]
    rows = [row for row, point in zip(everything, drawn, strict=True) if not point.kept_back]
    beside = [row for row, point in zip(everything, drawn, strict=True) if point.kept_back]
    scale = _scale([*(row["value"] for row in everything), *published.values()])
    shape = _shape_of_strategies(rows)
    line = _lines(rows, title, [title], scale, effort, shape=shape, beside=beside)
    line = alt.layer(line, *_aside(beside, scale))
    across = [_across(value, name, scale) for name, value in published.items()]
    chart = alt.layer(*across, line) if across else line
    said = "".join(f" {name}: {value:.1%}." for name, value in published.items())
    said += "".join(f" Kept, but never in use: {row['run']}, {row['value']:.1%}." for row in beside)
    return Drawing(
        finished(chart), f"{title} against {effort}. " + _in_words(rows, title, effort) + said
    )


def judged_chart(
    points: Sequence[CurvePoint], metric: str, *, effort: str = "bits"
) -> Drawing | None:
    """A metric on answers that each model had not seen; None where no model has any.

    Two lines: on all questions of the next round (hard ones, chosen by the model's uncertainty)
    and on its random check pairs. 50 % is guessing.
    """
    title = JUDGED_METRICS[metric]
    names = {"All questions": metric, "Random pairs": f"{metric}_random"}
    rows = [
        _row(point, name, point.metrics[key], effort)
        for name, key in names.items()
        for point in points
        if key in point.metrics
    ]
    if not rows:
        return None
    scale = _scale([GUESSING, *(row["value"] for row in rows)])
    guessing = _across(GUESSING, "guessing", scale)
    chart = alt.layer(guessing, _lines(rows, title, list(names), scale, effort))
    words = " ".join(_in_words(rows, name, effort) for name in names)
    return Drawing(finished(chart), f"{title} against {effort}; 50 % is guessing. {words}")


def points_csv(points: Sequence[CurvePoint]) -> str:
    """The points as CSV: one row a model, metrics as fractions, empty where undefined."""
    metrics = sorted({name for point in points for name in point.metrics})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_POINT_COLUMNS, *metrics])
    for point in points:
        loss = "" if point.fine_tuning is None else point.fine_tuning.loss
        what = [point.run, point.round_number, point.strategy or "", loss]
        effort = [point.bits, round(point.minutes, 2), point.answers, point.known_pairs]
        writer.writerow([*what, *effort, *(point.metrics.get(name, "") for name in metrics)])
    return text.getvalue()


def _row(point: CurvePoint, name: str, value: float, effort: str) -> dict[str, Any]:
    return {
        "line": name,
        "value": value,
        "effort": point.bits if effort == "bits" else round(point.minutes, 1),
        "bits": point.bits,
        "minutes": round(point.minutes, 1),
        "strategy": STRATEGIES.get(point.strategy or "", point.strategy or ""),
        "round": point.round_number,
        "answers": point.answers,
        "known": point.known_pairs,
        "run": point.run,
    }


def rows_chart(rows: Rows) -> alt.Chart:
    """A chart of some rows, without marks yet."""
    return alt.Chart(alt.InlineData(values=[dict(row) for row in rows]))


def _lines(
    rows: Rows,
    title: str,
    names: list[str],
    scale: alt.Scale,
    effort: str,
    *,
    shape: alt.Shape | None = None,
    beside: Rows = (),
) -> AnyChart:
    """Lines over the effort, with names and dots; these have their line's shape if no other.

    The axis of effort has room for what is drawn beside, too.
    """
    efforts = [row["effort"] for row in (*rows, *beside)]
    base = rows_chart(rows).encode(
        x=alt.X(
            "effort:Q",
            title=EFFORTS[effort],
            scale=alt.Scale(domain=[0, max([FEWEST, *efforts])]),
            axis=alt.Axis(tickMinStep=1, tickCount=8, format="d"),
        ),
        y=alt.Y(
            "value:Q",
            title=f"{title} (%)",
            scale=scale,
            axis=alt.Axis(format="~%", tickCount=6),
        ),
        color=colour_of("line:N", names),
    )
    marks = base.mark_line(strokeWidth=2.5).encode(strokeDash=_dashes(names))
    dots = base.mark_point(size=70, filled=True, opacity=1).encode(
        shape=shape or _shape("line:N", names, legend=None), tooltip=_TOOLTIP
    )
    return alt.layer(marks, dots, *_end_labels(rows, names))


def _shape_of_strategies(rows: Rows) -> alt.Shape | None:
    """Dots by how the questions before them were chosen; None where all were chosen alike."""
    names = list(dict.fromkeys(row["strategy"] for row in rows if row["strategy"]))
    if len(names) < 2:
        return None
    shapes = [*names, ""]  # before the first questions
    legend = alt.Legend(
        title="questions chosen by",
        values=names,
        orient="bottom",
        direction="vertical",  # in narrow windows, too
        labelLimit=400,
        symbolFillColor=BLUE,
        symbolStrokeColor=BLUE,
    )
    return _shape("strategy:N", shapes, legend=legend)


def _shape(field: str, names: list[str], *, legend: alt.Legend | None) -> alt.Shape:
    scale = alt.Scale(domain=names, range=_SHAPES[: len(names)])
    return alt.Shape(field, scale=scale, legend=legend)


_SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "arrow"]
_TOOLTIP = [
    alt.Tooltip("line:N", title="measured"),
    alt.Tooltip("value:Q", title="value", format=".1%"),
    alt.Tooltip("round:Q", title="round"),
    alt.Tooltip("bits:Q", title="bits"),
    alt.Tooltip("minutes:Q", title="minutes"),
    alt.Tooltip("strategy:N", title="questions chosen by"),
    alt.Tooltip("answers:Q", title="answers"),
    alt.Tooltip("known:Q", title="known pairs"),
    alt.Tooltip("run:N", title="model"),
]


def _scale(values: Sequence[float]) -> alt.Scale:
    """Whole steps around some fractions, wide enough to show a difference."""
    low = math.floor((min(values) - 0.01) / AXIS_STEP) * AXIS_STEP
    high = math.ceil((max(values) + 0.01) / AXIS_STEP) * AXIS_STEP
    return alt.Scale(domain=[max(0.0, low), min(1.0, high)], zero=False)


def _end_labels(rows: Rows, names: list[str]) -> list[alt.Chart]:
    """The name of each line, beside its last point; stands in for a legend."""
    last = {row["line"]: row for row in rows}  # rows come in the order of effort
    from_top = sorted(last.values(), key=lambda row: -row["value"])
    apart_px = [0] if len(from_top) == 1 else [-9, 9]  # lines that end together keep two names
    return [
        rows_chart([row])
        .mark_text(align="left", dx=10, dy=dy, fontSize=13, fontWeight=600)
        .encode(x="effort:Q", y="value:Q", text="line:N", color=colour_of("line:N", names))
        for row, dy in zip(from_top, apart_px, strict=False)
    ]


def _aside(rows: Rows, scale: alt.Scale) -> list[AnyChart]:
    """Models that did not take the place of the one in use: hollow, and off the line."""
    if not rows:
        return []
    base = rows_chart(rows).encode(x="effort:Q", y=alt.Y("value:Q", scale=scale))
    dots = base.mark_point(size=70, filled=False, color=GREY, opacity=1).encode(tooltip=_TOOLTIP)
    name = rows_chart(rows[-1:]).encode(x="effort:Q", y=alt.Y("value:Q", scale=scale))
    words = "kept, not in use"
    return [dots, name.mark_text(text=words, color=GREY, align="right", dx=-10, fontSize=13)]


def _across(value: float, words: str, scale: alt.Scale) -> AnyChart:
    """A line of reference with its name."""
    line = rows_chart([{"value": value}]).encode(y=alt.Y("value:Q", scale=scale))
    rule = line.mark_rule(color=GREY, strokeDash=[4, 4])
    name = line.mark_text(
        color=GREY, align="left", baseline="bottom", dx=4, dy=-3, text=words
    ).encode(x=alt.value(0))
    return alt.layer(rule, name)


def colour_of(field: str, names: list[str]) -> alt.Color:
    """Two names at most, told apart by colour, without a legend."""
    scale = alt.Scale(domain=names, range=[BLUE, VERMILION][: len(names)])
    return alt.Color(field, scale=scale, legend=None)


def _dashes(names: list[str]) -> alt.StrokeDash:
    scale = alt.Scale(domain=names, range=[[1, 0], [6, 4]][: len(names)])
    return alt.StrokeDash("line:N", scale=scale, legend=None)


def finished(chart: AnyChart) -> AnyChart:
    """The chart in its usual height."""
    chart.height = CHART_HEIGHT_PX
    return chart


def _in_words(rows: Rows, name: str, effort: str) -> str:
    line = [row for row in rows if row["line"] == name]
    if not line:
        return ""
    first, last = line[0], line[-1]
    return (
        f"{name}: {first['value']:.1%} at {first['effort']} {effort}, "
        f"{last['value']:.1%} at {last['effort']} {effort}."
    )
