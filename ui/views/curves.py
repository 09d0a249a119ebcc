"""Curves page: how quality grows with what people answer."""

import streamlit as st

from ui import (
    charts,
    components,
    curve_words,
    loss_comparison,
    session,
    simulations,
    tables,
)
from ui.gallery.mount import Tile, image_grid
from ui.histogram import histogram_chart
from workflow import comparing, curves, explore, outlook, published
from workflow.comparing import Change
from workflow.curves import CurvePoint

MOST_CHANGES = 12  # thumbnails of each kind
TARGETS = range(50, 100)
EFFORT_NAMES = {"bits": "Bits", "minutes": "Minutes"}
project = session.project()


def draw_retrieval(points: list[CurvePoint], effort: str) -> None:
    st.header("Retrieval", anchor=False)
    metrics = charts.retrieval_metrics(points)
    if not metrics:
        components.empty_state(
            "No classes to measure retrieval with",
            "The folders of this archive are not classes. Judge the model by people's answers, "
            "below.",
        )
        return
    st.caption(curve_words.RETRIEVAL_WORDS, width=components.READABLE_PX)
    titles = {name: charts.RETRIEVAL_METRICS[name] for name in metrics}
    metric = components.choice("Metric", titles, "curves.metric", help_text=curve_words.METRIC_HELP)
    theirs = published.published_figures(project) if metric == charts.OF_THE_PAPERS else {}
    components.chart(charts.retrieval_chart(points, metric, effort=effort, published=theirs))


def draw_judged(points: list[CurvePoint], effort: str) -> None:
    st.header("Agreement with people", anchor=False)
    st.caption(curve_words.FAIRNESS_WORDS, width=components.READABLE_PX)
    drawn = {
        metric: charts.judged_chart(points, metric, effort=effort)
        for metric in curve_words.JUDGED_WORDS
    }
    for column, (metric, drawing) in zip(st.columns(2, gap="large"), drawn.items(), strict=True):
        with column:
            st.markdown(f"**{charts.JUDGED_METRICS[metric]}**")
            st.caption(curve_words.JUDGED_WORDS[metric])
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
    st.caption(curve_words.HISTOGRAM_WORDS, width=components.READABLE_PX)
    histogram = curves.similarity_histogram(project)
    if histogram is None:
        components.empty_state(
            "Nothing to show yet", "It needs a model and answered pairs.", "annotate"
        )
        return
    components.chart(histogram_chart(histogram))


def draw_outlook(points: list[CurvePoint]) -> None:
    st.header("Is another round worth it?", anchor=False)
    st.caption(curve_words.OUTLOOK_WORDS, width=components.READABLE_PX)
    found = outlook.outlook(points)
    if found is None:
        components.empty_state("It cannot be told yet", outlook.too_few(points))
        return
    st.markdown(components.as_text(outlook.another_round(found)), width=components.READABLE_PX)
    target = st.select_slider(
        f"Bits to reach a target: {outlook.FIGURES[found.figure]}",
        TARGETS,
        value=95,
        format_func=lambda percent: f"{percent} %",
        key="curves.target",
        persist_state="session",
        width=components.READABLE_PX,
    )
    said = outlook.bits_to_reach(found, target / 100)
    st.markdown(components.as_text(said), width=components.READABLE_PX)


def draw_comparison(points: list[CurvePoint]) -> None:
    st.header("Which images changed", anchor=False)
    names = comparing.comparable_runs(project)
    if len(names) < 2:
        components.empty_state(
            "Nothing to compare yet", "It needs two models whose embeddings are kept."
        )
        return
    titles = {point.run: f"{point.run} ({point.bits:,} bits)" for point in points}
    with st.container(horizontal=True):
        after, before = (
            st.selectbox(
                label,
                names,
                index=at,
                format_func=lambda name: titles.get(name, name),
                key=f"curves.{label}",
                persist_state="session",
                width=280,
            )
            for at, label in enumerate(("Model", "Beside"))
        )
    found = comparing.compare_runs(project, before, after)
    what = curve_words.CHANGE_WORDS[found.by_classes]
    st.caption(f"{what} {components.counted(found.same, 'image')} stayed the same.")
    for title, changes in (("Better", found.better), ("Worse", found.worse)):
        st.markdown(f"**{title}: {components.counted(len(changes), 'image')}**")
        draw_changes(list(changes[:MOST_CHANGES]), title)


def draw_changes(changes: list[Change], title: str) -> None:
    if not changes:
        return
    paths = explore.paths(project, [each.image_id for each in changes])
    tiles = [
        Tile(each.image_id, paths[each.image_id], f"{each.before:.0%} → {each.after:.0%}")
        for each in changes
    ]
    key = f"curves.{title}"
    image_grid(tiles, name=f"{title} images", key=key, on_chosen=lambda _: None)
    chosen = session.component_value(key, "chosen")
    if isinstance(chosen, int):
        st.switch_page("views/search.py", query_params={"image": str(chosen)})


def draw_figures(points: list[CurvePoint]) -> None:
    st.header("All figures", anchor=False)
    st.caption(curve_words.FIGURES_WORDS, width=components.READABLE_PX)
    rows = tables.curve_rows(points)
    components.table(rows, tables.curve_columns())
    components.download("Download points (CSV)", lambda: charts.points_csv(points), "curves.csv")


components.page_header(
    "Curves", "What the answers bought: quality against bits, an answer a bit, or time."
)
points = curves.quality_curve(project)
if points:
    against = components.choice(
        "Against", EFFORT_NAMES, "curves.effort", help_text=curve_words.EFFORT_HELP
    )
    trained = [point for point in points if point.fine_tuning is None]
    draw_retrieval(trained, against)
    used = [point for point in trained if not point.kept_back]
    draw_judged(used, against)
    loss_comparison.draw(curves.compared_losses(points))
    draw_outlook(used)
    draw_histogram()
    with components.errors_shown():
        draw_comparison(points)
    simulations.draw(trained)
    draw_figures(points)
else:
    components.empty_state(
        "No model yet",
        "The worker prepares the first one; Overview shows how far it is.",
        "overview",
    )
