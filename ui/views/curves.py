"""Curves page: how quality grows with what people answer."""

import streamlit as st

from ui import charts, components, session, tables
from workflow import curves
from workflow.curves import CurvePoint

project = session.project()


def draw_retrieval(points: list[CurvePoint]) -> None:
    st.header("Retrieval", anchor=False)
    metrics = charts.retrieval_metrics(points)
    if not metrics:
        components.empty_state(
            "No classes to measure retrieval with",
            "The folders of this archive are not classes. Judge the model by people's answers, "
            "below.",
        )
        return
    st.caption(charts.RETRIEVAL_WORDS, width=components.READABLE_PX)
    metric = st.radio(
        "Metric",
        metrics,
        horizontal=True,
        format_func=lambda name: charts.RETRIEVAL_METRICS[name],
        key="curves.metric",
        help=charts.METRIC_HELP,
    )
    components.chart(charts.retrieval_chart(points, metric))


def draw_judged(points: list[CurvePoint]) -> None:
    st.header("Agreement with people", anchor=False)
    st.caption(charts.FAIRNESS_WORDS, width=components.READABLE_PX)
    drawn = {metric: charts.judged_chart(points, metric) for metric in charts.JUDGED_WORDS}
    for column, (metric, drawing) in zip(st.columns(2, gap="large"), drawn.items(), strict=True):
        with column:
            st.markdown(f"**{charts.JUDGED_METRICS[metric]}**")
            st.caption(charts.JUDGED_WORDS[metric])
            if drawing is None:
                components.empty_state(
                    "No answers to compare with yet",
                    "It needs a model and answers to the pairs asked after it.",
                    "annotate",
                )
            else:
                components.chart(drawing)


def draw_histogram() -> None:
    st.header("Similarity of answered pairs", anchor=False)
    st.caption(charts.HISTOGRAM_WORDS, width=components.READABLE_PX)
    histogram = curves.similarity_histogram(project)
    if histogram is None:
        components.empty_state(
            "Nothing to show yet", "It needs a model and answered pairs.", "annotate"
        )
        return
    components.chart(charts.histogram_chart(histogram))


def draw_figures(points: list[CurvePoint]) -> None:
    st.header("All figures", anchor=False)
    st.caption(charts.FIGURES_WORDS, width=components.READABLE_PX)
    rows = tables.curve_rows(points)
    st.dataframe(rows, hide_index=True, column_config=tables.curve_columns())
    components.download("Download points (CSV)", lambda: charts.points_csv(points), "curves.csv")


components.page_header("Curves", "What the answers bought: quality against bits, an answer a bit.")
points = curves.quality_curve(project)
if points:
    draw_retrieval(points)
    draw_judged(points)
    draw_histogram()
    draw_figures(points)
else:
    components.empty_state(
        "No model yet",
        "The worker prepares the first one; Overview shows how far it is.",
        "overview",
    )
