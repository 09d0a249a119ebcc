"""The picture of a simulation: a paper's figures across it, where the archive is the paper's."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from worker import simulation_curve
from worker.simulation_curve import Row, draw_curve


def a_row() -> Row:
    return Row("mgue", 0, 1, 100.0, 100, 500, 0.9, 0.8, 0.7, 0.6, 0.5, 0.9)


@pytest.mark.parametrize("published", [{}, {"paper, MGUE: 93.6": 0.936, "paper, CAL: 87.8": 0.878}])
def test_published_figures_are_lines_across_the_paper_s_metric_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, published: dict[str, float]
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    draw_curve(tmp_path, [a_row()], published)
    theirs, honest = drawn[0].axes
    across = [line for line in theirs.lines if line.get_linestyle() == ":"]
    assert [line.get_ydata()[0] for line in across] == list(published.values())
    assert [text.get_text() for text in theirs.texts] == list(published)
    assert not [line for line in honest.lines if line.get_linestyle() == ":"]
    assert (tmp_path / simulation_curve.PICTURE_NAME).exists()


@pytest.mark.parametrize("strategy", ["mgue", "all"])
def test_no_band_goes_beyond_what_a_figure_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    """Two seeds 0.2 apart: their band would reach from -0.37 to 2.17."""
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    rows = [
        replace(a_row(), strategy=strategy, seed=seed, map_at_5_hits=value)
        for seed, value in enumerate((1.0, 0.8))
    ]
    draw_curve(tmp_path, rows)
    low, high = drawn[0].axes[0].dataLim.intervaly
    assert (low, high) == (0, 1)
