"""Charts say what the points say, with units, names and colours that everyone can tell apart."""

import csv
import io
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ui import charts
from ui.histogram import histogram_chart
from ui.map_chart import map_chart
from workflow.curves import CurvePoint, SimilarityHistogram
from workflow.explore import ArchiveMap

CONFIG = Path(__file__).parents[2] / ".streamlit" / "config.toml"


def point(number: int, **metrics: float) -> CurvePoint:
    return CurvePoint(
        run=f"run-{number}",
        round_number=number,
        bits=100 * number,
        answers=110 * number,
        known_pairs=900 * number,
        metrics=metrics,
    )


def histogram(**changes: Any) -> SimilarityHistogram:
    given: dict[str, Any] = {
        "edges": (-1.0, 0.0, 0.5, 1.0),
        "similar": (0, 1, 3),
        "dissimilar": (6, 2, 0),
        "threshold": 0.4,
        "run": "run-1",
    }
    return SimilarityHistogram(**(given | changes))


def layers(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The innermost layers; one without data takes it from the layer around it."""
    for layer in spec.get("layer", [spec]):
        whole = {"data": spec.get("data")} | layer
        if "layer" in layer:
            yield from layers(whole)
        else:
            yield whole


def marks(drawing: charts.Drawing, kind: str) -> list[dict[str, Any]]:
    """The layers of one kind of mark, with their rows; `to_dict` checks Vega-Lite's schema too."""
    spec = drawing.chart.to_dict()
    found = [each for each in layers(spec) if each["mark"]["type"] == kind]
    return [each | {"rows": spec["datasets"][each["data"]["name"]]} for each in found]


def test_a_retrieval_chart_draws_one_point_a_model_that_has_the_metric() -> None:
    points = [point(0, map=0.5), point(1), point(2, map=0.7)]
    drawing = charts.retrieval_chart(points, "map")
    (dots,) = marks(drawing, "point")
    drawn = [(row["bits"], row["value"]) for row in dots["rows"]]
    assert drawn == [(0, 0.5), (200, 0.7)]


def test_axes_name_their_unit() -> None:
    (line,) = marks(charts.retrieval_chart([point(1, map=0.5)], "map"), "line")
    assert line["encoding"]["x"]["title"] == "bits (similar and different answers)"
    assert line["encoding"]["y"]["title"] == "mAP (%)"


def test_only_metrics_that_some_model_has_are_offered() -> None:
    points = [point(0), point(1, map_at_5_hits=0.5, auc=0.7)]
    assert charts.retrieval_metrics(points) == ["map_at_5_hits"]
    assert charts.retrieval_metrics([point(1, auc=0.7)]) == []


def test_a_judged_chart_draws_all_questions_and_random_pairs_and_what_guessing_gives() -> None:
    points = [point(0, auc=0.6, auc_random=0.8), point(1, auc=0.7)]
    drawing = charts.judged_chart(points, "auc")
    assert drawing is not None
    (dots,) = marks(drawing, "point")
    drawn = {(row["line"], row["bits"], row["value"]) for row in dots["rows"]}
    assert drawn == {
        ("All questions", 0, 0.6),
        ("All questions", 100, 0.7),
        ("Random pairs", 0, 0.8),
    }
    (rule,) = marks(drawing, "rule")
    assert rule["rows"] == [{"value": 0.5}]


def test_a_judged_chart_without_any_figure_is_none() -> None:
    assert charts.judged_chart([point(0, map=0.5), point(1)], "auc") is None


def test_lines_that_end_together_keep_both_names_legible() -> None:
    drawing = charts.judged_chart([point(1, auc=0.7, auc_random=0.7)], "auc")
    assert drawing is not None
    names = [each for each in marks(drawing, "text") if "text" in each["encoding"]]
    heights = sorted(each["mark"]["dy"] for each in names)
    assert len(names) == 2
    assert heights[1] - heights[0] >= names[0]["mark"]["fontSize"]


def test_each_side_of_the_histogram_is_a_share_of_its_own_kind() -> None:
    drawing = histogram_chart(histogram())
    (bars,) = marks(drawing, "bar")
    shares = {(row["kind"], row["low"]): row["share"] for row in bars["rows"]}
    assert shares == {
        ("similar", 0.0): 1 / 4,
        ("similar", 0.5): 3 / 4,
        ("different", -1.0): -6 / 8,
        ("different", 0.0): -2 / 8,
    }


def test_bars_stand_on_the_axis() -> None:
    (bars,) = marks(histogram_chart(histogram()), "bar")
    assert bars["encoding"]["y2"] == {"datum": 0}


@pytest.mark.parametrize(("threshold", "lines"), [(0.4, 1), (None, 0)])
def test_the_threshold_is_drawn_where_there_is_one(threshold: float | None, lines: int) -> None:
    drawing = histogram_chart(histogram(threshold=threshold))
    assert len(marks(drawing, "rule")) == lines


def test_a_histogram_of_nothing_but_dissimilar_pairs_is_drawn() -> None:
    drawing = histogram_chart(histogram(similar=(0, 0, 0)))
    assert "0 similar and 8 different pairs" in drawing.words


def test_charts_say_in_words_where_the_line_starts_and_ends() -> None:
    words = charts.retrieval_chart([point(0, map=0.5), point(2, map=0.7)], "map").words
    assert "50.0% at 0 bits" in words
    assert "70.0% at 200 bits" in words


def test_the_download_holds_every_point_and_metric() -> None:
    points = [point(0, map=0.5), point(1, map=0.625, auc=0.75)]
    rows = list(csv.DictReader(io.StringIO(charts.points_csv(points))))
    assert [row["bits"] for row in rows] == ["0", "100"]
    assert [row["auc"] for row in rows] == ["", "0.75"]
    assert float(rows[1]["map"]) == 0.625
    assert rows[1]["run"] == "run-1"


def luminance(colour: str) -> float:
    """Relative luminance of an sRGB colour, WCAG 2.1."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [charts.BLUE, charts.VERMILION, charts.GREY])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_stand_out_on_both_themes(colour: str, theme: str) -> None:
    background = tomllib.loads(CONFIG.read_text())["theme"][theme]["backgroundColor"]
    low, high = sorted([luminance(colour), luminance(background)])
    assert (high + 0.05) / (low + 0.05) >= 3.0  # WCAG 2.1, 1.4.11


def test_lines_differ_by_more_than_colour() -> None:
    drawing = charts.judged_chart([point(1, auc=0.6, auc_random=0.8)], "auc")
    assert drawing is not None
    (line,) = marks(drawing, "line")
    (dots,) = marks(drawing, "point")
    assert len({str(dash) for dash in line["encoding"]["strokeDash"]["scale"]["range"]}) == 2
    assert len(set(dots["encoding"]["shape"]["scale"]["range"])) == 2


def test_points_show_how_their_questions_were_chosen_where_that_differs() -> None:
    def shape(*strategies: str | None) -> dict[str, Any]:
        points = [replace(point(at, map=0.5), strategy=each) for at, each in enumerate(strategies)]
        (dots,) = marks(charts.retrieval_chart(points, "map"), "point")
        found: dict[str, Any] = dots["encoding"]["shape"]
        return found

    assert shape(None, "mgue", "mgue")["field"] == "line"
    differing = shape(None, "random", "mgue", "random")
    assert differing["field"] == "strategy"
    assert differing["scale"]["domain"] == ["Random pairs", "Most uncertain pairs (MGUE)", ""]
    assert differing["legend"]["values"] == ["Random pairs", "Most uncertain pairs (MGUE)"]
    assert len(set(differing["scale"]["range"])) == 3
    assert differing["legend"]["title"] == "questions chosen by"


def test_a_curve_against_minutes_has_them_on_its_axis_and_in_words() -> None:
    points = [replace(point(at, map=0.5 + 0.1 * at), minutes=7.0 * at) for at in range(3)]
    drawing = charts.retrieval_chart(points, "map", effort="minutes")
    assert "70.0% at 14.0 minutes" in drawing.words
    titles = [layer["encoding"]["x"].get("title") for layer in layers(drawing.chart.to_dict())]
    assert charts.EFFORTS["minutes"] in titles


def test_published_figures_are_lines_across_that_the_axis_holds() -> None:
    points = [point(at, map_at_5_hits=0.9) for at in range(2)]
    drawing = charts.retrieval_chart(points, "map_at_5_hits", published={"paper: 72": 0.72})
    spec = drawing.chart.to_dict()
    rules = [layer for layer in layers(spec) if layer["mark"]["type"] == "rule"]
    assert len(rules) == 1
    low, _ = rules[0]["encoding"]["y"]["scale"]["domain"]
    assert low <= 0.72
    assert "paper: 72: 72.0%" in drawing.words


def test_a_model_that_was_kept_back_is_off_the_line() -> None:
    """It would bend the line of the models that were in use, and nothing would say why."""
    points = [point(1, map=0.5), point(2, map=0.7), replace(point(3, map=0.6), kept_back=True)]
    drawing = charts.retrieval_chart(points, "map")
    (line,) = marks(drawing, "line")
    assert [row["run"] for row in line["rows"]] == ["run-1", "run-2"]
    assert line["encoding"]["x"]["scale"]["domain"] == [0, 300]
    (hollow,) = [each for each in marks(drawing, "point") if each["mark"].get("filled") is False]
    assert [row["run"] for row in hollow["rows"]] == ["run-3"]
    assert "Kept, but never in use: run-3, 60.0%." in drawing.words


def test_the_map_is_drawn_as_svg_whose_text_follows_the_theme() -> None:
    """Streamlit takes a canvas for more than 2,000 points, which knows no colour of the page."""
    ids = np.arange(2001)
    points = np.random.default_rng(0).normal(size=(len(ids), 2))
    drawn = map_chart(ArchiveMap("r1", ids, points, (0.5, 0.2)), [], paths={}, picture_version="1")
    assert drawn.legible().to_dict()["usermeta"]["embedOptions"] == {"renderer": "svg"}
