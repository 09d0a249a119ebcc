"""The chart of how similar a model finds the pairs that people answered."""

from typing import Any

import altair as alt

from ui.charts import BLUE, GREY, VERMILION, Drawing, colour_of, finished, rows_chart
from workflow.curves import SimilarityHistogram


def histogram_chart(histogram: SimilarityHistogram) -> Drawing:
    """Similar pairs above the axis, different ones below it, with the model's threshold."""
    rows = _mirrored(histogram)
    top = max((abs(row["share"]) for row in rows), default=1.0) * 1.15
    bars = (
        rows_chart(rows)
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
            color=colour_of("kind:N", ["similar", "different"]),
            tooltip=[
                alt.Tooltip("kind:N", title="answered"),
                alt.Tooltip("low:Q", title="from", format=".2f"),
                alt.Tooltip("high:Q", title="to", format=".2f"),
                alt.Tooltip("pairs:Q", title="pairs"),
            ],
        )
    )
    layers = [bars, *_side_labels(histogram, top), *_threshold_line(histogram.threshold, top)]
    return Drawing(finished(alt.layer(*layers)), _histogram_words(histogram))


def _mirrored(histogram: SimilarityHistogram) -> list[dict[str, Any]]:
    sides = (("similar", histogram.similar, 1.0), ("different", histogram.dissimilar, -1.0))
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
        (f"answered different ({sum(histogram.dissimilar)})", -top, VERMILION, -10),
    )
    return [
        rows_chart([{"low": low, "share": y}])
        .mark_text(
            text=words, color=colour, align="left", fontSize=13, fontWeight=600, dx=6, dy=inwards
        )
        .encode(x="low:Q", y="share:Q")
        for words, y, colour, inwards in sides
    ]


def _threshold_line(threshold: float | None, top: float) -> list[alt.Chart]:
    if threshold is None:
        return []
    base = rows_chart([{"low": threshold, "share": top}]).encode(x="low:Q")
    words = base.mark_text(
        text=f"threshold {threshold:.2f}", color=GREY, align="left", baseline="top", dx=5
    ).encode(y="share:Q")
    return [base.mark_rule(color=GREY, strokeDash=[6, 3], strokeWidth=2), words]


def _histogram_words(histogram: SimilarityHistogram) -> str:
    threshold = histogram.threshold
    line = "no threshold yet" if threshold is None else f"threshold {threshold:.2f}"
    return (
        f"Histogram of similarity: {sum(histogram.similar)} similar and "
        f"{sum(histogram.dissimilar)} different pairs, {line}."
    )
