"""The chart of simulations beside the project's own models."""

from pathlib import Path

from ui.simulations import OWN, chart
from workflow.curves import CurvePoint
from workflow.simulated import bands, read_simulation

PUBLISHED = Path(__file__).parents[2] / "docs" / "reproduction.csv"
METRIC = "map_at_5_hits"


def test_the_chart_says_in_words_what_each_curve_reached() -> None:
    own = CurvePoint("r001", 1, 12, 12, 30, {METRIC: 0.7})
    drawing = chart(bands(read_simulation(PUBLISHED.read_bytes(), [METRIC]), METRIC), [own], METRIC)
    assert "mgue: 95." in drawing.words
    assert "5 seeds" in drawing.words
    assert f"{OWN}: 70.0% at 12 bits." in drawing.words
    drawn = drawing.chart.to_dict()
    area, line = drawn["layer"]
    assert (area["mark"]["type"], line["mark"]["type"]) == ("area", "line")
    names = line["encoding"]["color"]["scale"]["domain"]
    assert names[-1] == OWN
    signs = line["encoding"]["strokeDash"]["scale"]["range"]
    colours = line["encoding"]["color"]["scale"]["range"]
    assert len(set(zip(colours, map(tuple, signs), strict=True))) == len(names)


def test_knowing_all_relations_is_a_line_across() -> None:
    drawing = chart(bands(read_simulation(PUBLISHED.read_bytes(), [METRIC]), METRIC), [], METRIC)
    (rows,) = drawing.chart.to_dict()["datasets"].values()
    across = [row for row in rows if row["strategy"] == "all"]
    assert [row["bits"] for row in across] == [0, max(row["bits"] for row in rows)]
    assert len({row["mean"] for row in across}) == 1


def test_a_project_without_the_metric_has_no_line_of_its_own() -> None:
    own = CurvePoint("r001", 1, 12, 12, 30, {"auc": 0.7})
    rows = read_simulation(PUBLISHED.read_bytes(), [METRIC])
    assert OWN not in chart(bands(rows, METRIC), [own], METRIC).words
