"""Charts of quality against effort, for both themes and for every kind of colour sight."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from workflow.curves import CurvePoint, SimilarityHistogram

# Blue and vermilion after Okabe and Ito, told apart with every common colour sight; darker or
# lighter than theirs so that text in them has a contrast of 4 on white and on the dark theme.
BLUE = "#1a7fc1"
VERMILION = "#cf5b00"
GREY = "#7b828c"  # for lines of reference
BITS_TITLE = "bits (similar and dissimilar answers)"
GUESSING = 0.5
FEWEST_BITS = 10  # the axis is at least so long
AXIS_STEP = 0.05
CHART_HEIGHT_PX = 320

RETRIEVAL_METRICS: Mapping[str, str] = {
    "map_at_5_min": "mAP@5",
    "map_at_5_hits": "mAP@5, as in the papers",
    "map": "mAP",
}
JUDGED_METRICS: Mapping[str, str] = {"auc": "AUC", "balanced_accuracy": "Balanced accuracy"}
AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart
Rows = Sequence[Mapping[str, Any]]
_POINT_COLUMNS = ("run", "round", "bits", "answers", "known_pairs")


# What each chart says, in a sentence.
METRIC_HELP = (
    "mAP@5 divides by the best that five places allow; the papers divide by the hits among the "
    "five, which flatters. mAP looks at the whole ranking."
)
RETRIEVAL_WORDS = (
    "How many of the images found first show the same class as the query, on images that are "
    "never asked about or learnt from."
)
FAIRNESS_WORDS = (
    "Most questions are pairs that a model is unsure of: a hard test, whose line may fall. The few "
    "random pairs among them compare models fairly."
)
JUDGED_WORDS: Mapping[str, str] = {
    "auc": "How well a model ranks similar above dissimilar pairs, on answers it had not seen.",
    "balanced_accuracy": "How often a model says what people say, similar and dissimilar pairs "
    "counting the same, on answers it had not seen.",
}
HISTOGRAM_WORDS = (
    "How similar the model finds the pairs that people answered: the farther the two sides are "
    "apart, the better it follows them."
)
FIGURES_WORDS = (
    "A line a model, the least effort first. Average precision looks at the pairs that the model "
    "finds most alike: how many of them people call similar. It tells models apart where similar "
    "pairs are few; chance gives their share."
)


@dataclass(frozen=True)
class Drawing:
    """A chart, and what it says in words for those who cannot see it."""

    chart: AnyChart
    words: str


def retrieval_metrics(points: Sequence[CurvePoint]) -> list[str]:
    """The retrieval metrics that some point has; none where folders are not classes."""
    return [name for name in RETRIEVAL_METRICS if any(name in point.metrics for point in points)]


def retrieval_chart(points: Sequence[CurvePoint], metric: str) -> Drawing:
    """One retrieval metric against bits, a point a model."""
    title = RETRIEVAL_METRICS[metric]
    drawn = [point for point in points if metric in point.metrics]
    rows = [_row(point, title, point.metrics[metric]) for point in drawn]
    line = _lines(rows, title, [title], _scale([row["value"] for row in rows]))
    return Drawing(_finished(line), f"{title} against bits. " + _in_words(rows, title))


def judged_chart(points: Sequence[CurvePoint], metric: str) -> Drawing | None:
    """A metric on answers that each model had not seen; None where no model has any.

    Two lines: on all questions of the next round (hard ones, chosen by the model's uncertainty)
    and on its random check pairs. 50 % is guessing.
    """
    title = JUDGED_METRICS[metric]
    names = {"All questions": metric, "Random pairs": f"{metric}_random"}
    rows = [
        _row(point, name, point.metrics[key])
        for name, key in names.items()
        for point in points
        if key in point.metrics
    ]
    if not rows:
        return None
    scale = _scale([GUESSING, *(row["value"] for row in rows)])
    chart = alt.layer(_guessing(scale), _lines(rows, title, list(names), scale))
    words = " ".join(_in_words(rows, name) for name in names)
    return Drawing(_finished(chart), f"{title} against bits; 50 % is guessing. {words}")


def histogram_chart(histogram: SimilarityHistogram) -> Drawing:
    """Similar pairs above the axis, dissimilar pairs below it, with the model's threshold."""
    rows = _mirrored(histogram)
    top = max((abs(row["share"]) for row in rows), default=1.0) * 1.15
    bars = (
        _chart(rows)
        .mark_bar()
        .encode(
            x=alt.X("low:Q", title="similarity (cosine)", axis=alt.Axis(format=".1f")),
            x2="high:Q",
            y=alt.Y(
                "share:Q",
                title="share of pairs (%)",
                scale=alt.Scale(domain=[-top, top], nice=False),
                axis=alt.Axis(labelExpr="format(abs(datum.value), '.0%')", tickCount=6),
            ),
            y2=alt.datum(0),
            color=_colour("kind:N", ["similar", "dissimilar"]),
            tooltip=[
                alt.Tooltip("kind:N", title="answered"),
                alt.Tooltip("low:Q", title="from", format=".2f"),
                alt.Tooltip("high:Q", title="to", format=".2f"),
                alt.Tooltip("pairs:Q", title="pairs"),
            ],
        )
    )
    layers = [bars, *_side_labels(histogram, top), *_threshold_line(histogram.threshold, top)]
    return Drawing(_finished(alt.layer(*layers)), _histogram_words(histogram))


def points_csv(points: Sequence[CurvePoint]) -> str:
    """The points as CSV: one row a model, metrics as fractions, empty where undefined."""
    metrics = sorted({name for point in points for name in point.metrics})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_POINT_COLUMNS, *metrics])
    for point in points:
        effort = [point.run, point.round_number, point.bits, point.answers, point.known_pairs]
        writer.writerow([*effort, *(point.metrics.get(name, "") for name in metrics)])
    return text.getvalue()


def _row(point: CurvePoint, name: str, value: float) -> dict[str, Any]:
    return {
        "line": name,
        "value": value,
        "bits": point.bits,
        "round": point.round_number,
        "answers": point.answers,
        "known": point.known_pairs,
        "run": point.run,
    }


def _chart(rows: Rows) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=[dict(row) for row in rows]))


def _lines(rows: Rows, title: str, names: list[str], scale: alt.Scale) -> AnyChart:
    """Lines over bits, with dots and names."""
    base = _chart(rows).encode(
        x=alt.X(
            "bits:Q",
            title=BITS_TITLE,
            scale=alt.Scale(domain=[0, max([FEWEST_BITS, *(row["bits"] for row in rows)])]),
            axis=alt.Axis(tickMinStep=1, tickCount=8, format="d"),
        ),
        y=alt.Y(
            "value:Q",
            title=f"{title} (%)",
            scale=scale,
            axis=alt.Axis(format="~%", tickCount=6),
        ),
        color=_colour("line:N", names),
    )
    marks = base.mark_line(strokeWidth=2.5).encode(strokeDash=_dashes(names))
    dots = base.mark_point(size=70, filled=True, opacity=1).encode(
        shape=alt.Shape("line:N", scale=alt.Scale(domain=names, range=_SHAPES), legend=None),
        tooltip=_TOOLTIP,
    )
    return alt.layer(marks, dots, *_end_labels(rows, names))


_SHAPES = ["circle", "square"]
_TOOLTIP = [
    alt.Tooltip("line:N", title="measured"),
    alt.Tooltip("value:Q", title="value", format=".1%"),
    alt.Tooltip("round:Q", title="round"),
    alt.Tooltip("bits:Q", title="bits"),
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
        _chart([row])
        .mark_text(align="left", dx=10, dy=dy, fontSize=13, fontWeight=600)
        .encode(x="bits:Q", y="value:Q", text="line:N", color=_colour("line:N", names))
        for row, dy in zip(from_top, apart_px, strict=False)
    ]


def _guessing(scale: alt.Scale) -> AnyChart:
    line = _chart([{"value": GUESSING}]).encode(y=alt.Y("value:Q", scale=scale))
    rule = line.mark_rule(color=GREY, strokeDash=[4, 4])
    words = line.mark_text(
        color=GREY, align="left", baseline="bottom", dx=4, dy=-3, text="guessing"
    ).encode(x=alt.value(0))
    return alt.layer(rule, words)


def _mirrored(histogram: SimilarityHistogram) -> list[dict[str, Any]]:
    sides = (("similar", histogram.similar, 1.0), ("dissimilar", histogram.dissimilar, -1.0))
    edges = list(zip(histogram.edges, histogram.edges[1:], strict=False))
    return [
        {
            "kind": kind,
            "low": low,
            "high": high,
            "pairs": pairs,
            "share": sign * pairs / max(1, sum(counts)),
        }
        for kind, counts, sign in sides
        for (low, high), pairs in zip(edges, counts, strict=True)
        if pairs
    ]


def _side_labels(histogram: SimilarityHistogram, top: float) -> list[alt.Chart]:
    low = histogram.edges[0]
    sides = (
        (f"answered similar ({sum(histogram.similar)})", top, BLUE, 10),
        (f"answered dissimilar ({sum(histogram.dissimilar)})", -top, VERMILION, -10),
    )
    return [
        _chart([{"low": low, "share": y}])
        .mark_text(
            text=words, color=colour, align="left", fontSize=13, fontWeight=600, dx=6, dy=inwards
        )
        .encode(x="low:Q", y="share:Q")
        for words, y, colour, inwards in sides
    ]


def _threshold_line(threshold: float | None, top: float) -> list[alt.Chart]:
    if threshold is None:
        return []
    base = _chart([{"low": threshold, "share": top}]).encode(x="low:Q")
    words = base.mark_text(
        text=f"threshold {threshold:.2f}", color=GREY, align="left", baseline="top", dx=5
    ).encode(y="share:Q")
    return [base.mark_rule(color=GREY, strokeDash=[6, 3], strokeWidth=2), words]


def _colour(field: str, names: list[str]) -> alt.Color:
    scale = alt.Scale(domain=names, range=[BLUE, VERMILION][: len(names)])
    return alt.Color(field, scale=scale, legend=None)


def _dashes(names: list[str]) -> alt.StrokeDash:
    scale = alt.Scale(domain=names, range=[[1, 0], [6, 4]][: len(names)])
    return alt.StrokeDash("line:N", scale=scale, legend=None)


def _finished(chart: AnyChart) -> AnyChart:
    chart.height = CHART_HEIGHT_PX
    return chart


def _in_words(rows: Rows, name: str) -> str:
    line = [row for row in rows if row["line"] == name]
    if not line:
        return ""
    first, last = line[0], line[-1]
    return (
        f"{name}: {first['value']:.1%} at {first['bits']} bits, "
        f"{last['value']:.1%} at {last['bits']} bits."
    )


def _histogram_words(histogram: SimilarityHistogram) -> str:
    threshold = histogram.threshold
    line = "no threshold yet" if threshold is None else f"threshold {threshold:.2f}"
    return (
        f"Histogram of similarity: {sum(histogram.similar)} similar and "
        f"{sum(histogram.dissimilar)} dissimilar pairs, {line}."
    )
