"""The result of a simulation on disk: rows in `curve.csv`, their picture, and what made them."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy import stats

from domain.arrays import FloatArray
from domain.files import written_whole
from worker.kept_table import read_table, write_table

CSV_NAME, PICTURE_NAME = "curve.csv", "curve.png"
FROZEN_ROUND = -1

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#555555")
_GREY = "#6b727c"
_OF_THE_PAPERS = "map_at_5_hits"
_PANELS = {
    _OF_THE_PAPERS: "mAP@5 (divided by the hits, as the papers do)",
    "map_at_5_min": "mAP@5 (divided by min(5, relevant))",
}


@dataclass(frozen=True)
class Row:
    """The state after a round of one strategy with one seed; metrics are fractions 0…1.

    Attributes:
        round: -1 the frozen features, 0 after the initial set, then 1…R.
        bits: 1 a question, log2 C a class label.
        answers: questions answered and class labels given.
        known_pairs: answered and implied relations of training images.
        map_at_5_hits … recall_at_1: see `retrieval.metrics`; None where undefined.
        seconds_select, seconds_train, seconds_evaluate: choosing the round's questions,
            transitivity and training, embedding and metrics.
        similar_share: of the round's questions the share answered "similar"; None without one.
        threshold: MGUE's, with the model that chose the round's questions, even where another
            strategy asked elsewhere; None without one.
        lam: MGUE's λ; None for other strategies.
        selection_auc, selection_auc_frozen: head and frozen features on the held-out answers;
            None where there were too few.
        note: what was out of the ordinary in choosing the questions or in training.
        screens, tiles: of `components`, how often people looked at something new, and at how many
            pairs in all; both are the answers where pairs are asked one by one.
    """

    strategy: str
    seed: int
    round: int
    bits: float
    answers: int
    known_pairs: int
    map_at_5_hits: float | None
    map_at_5_min: float | None
    map: float | None
    p_at_5: float | None
    p_at_10: float | None
    recall_at_1: float | None
    seconds_select: float = 0.0
    seconds_train: float = 0.0
    seconds_evaluate: float = 0.0
    similar_share: float | None = None
    threshold: float | None = None
    lam: float | None = None
    selection_auc: float | None = None
    selection_auc_frozen: float | None = None
    note: str = ""
    screens: int | None = None
    tiles: int | None = None


COLUMNS = tuple(each.name for each in fields(Row))
_LEGEND_COLUMNS = 5
_WHOLE = ("seed", "round", "answers", "known_pairs", "screens", "tiles")
_TEXT = ("strategy", "note")


def reusable_rows(out: Path, identity: Mapping[str, Any]) -> list[Row]:
    """Rows of an earlier run into this folder; see `read_table`."""
    return read_table(out / CSV_NAME, identity, _parsed)


def write_rows(out: Path, rows: Sequence[Row], identity: Mapping[str, Any]) -> None:
    """Write `curve.csv` and the options it belongs to; see `write_table`."""
    write_table(out / CSV_NAME, identity, COLUMNS, map(astuple, rows))


def draw_curve(
    out: Path, rows: Sequence[Row], published: Mapping[str, float] = MappingProxyType({})
) -> None:
    """`curve.png`: quality against bits, the mean over seeds and its 95 % confidence band.

    A variant with one row beside the frozen features, the upper bound, is a dashed line.
    """
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    variants = list(dict.fromkeys((row.strategy, row.lam) for row in rows))
    colours = _colours(len(variants))
    several = len({lam for _, lam in variants if lam is not None}) > 1
    for axes, (metric, title) in zip(figure.subplots(1, 2), _PANELS.items(), strict=True):
        for (strategy, lam), colour in zip(variants, colours, strict=True):
            chosen = [row for row in rows if (row.strategy, row.lam) == (strategy, lam)]
            label = f"{strategy} λ={lam:g}" if several and lam is not None else strategy
            _draw(axes, _points(chosen, metric), colour, label, is_bound=strategy == "all")
        if metric == _OF_THE_PAPERS:
            _draw_across(axes, published)
        axes.set(xlabel="bits", ylabel=metric, title=title)
        axes.grid(alpha=0.3)
    names = figure.axes[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=_LEGEND_COLUMNS)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    with written_whole(out / PICTURE_NAME) as draft:
        draft.write_bytes(picture.getvalue())


def _draw(axes: Axes, points: FloatArray, colour: str, label: str, *, is_bound: bool) -> None:
    """A line of points [bits, mean, half width of the band]; a band ends where figures do."""
    bits, mean, band = points.T
    low, high = np.clip([mean - band, mean + band], 0, 1)
    if is_bound and len(points):
        axes.axhline(mean[-1], color=colour, ls="--", label=f"{label} ({bits[-1]:,.0f} bits)")
        axes.axhspan(low[-1], high[-1], color=colour, alpha=0.1, lw=0)
        return
    axes.plot(bits, mean, marker="o", markersize=4, color=colour, label=label)
    axes.fill_between(bits, low, high, color=colour, alpha=0.2, lw=0)


def _draw_across(axes: Axes, published: Mapping[str, float]) -> None:
    """A line for each figure of a paper, with its name on it."""
    for name, value in published.items():
        axes.axhline(value, color=_GREY, ls=":", lw=1)
        axes.annotate(
            name, (0.01, value), xycoords=axes.get_yaxis_transform(), color=_GREY, fontsize=7,
            va="bottom",
        )  # fmt: skip


def _points(rows: Sequence[Row], metric: str) -> FloatArray:
    """[rounds, 3] bits, mean over seeds, and half of its 95 % confidence interval."""
    points = []
    for number in sorted({row.round for row in rows}):
        values = [
            (row.bits, getattr(row, metric))
            for row in rows
            if row.round == number and getattr(row, metric) is not None
        ]
        if values:
            bits, scores = np.array(values).T
            points.append((bits.mean(), scores.mean(), _half_interval(scores)))
    return np.array(points).reshape(-1, 3)


def _half_interval(scores: FloatArray) -> float:
    """By Student's t; 0 with one seed, of which nobody can tell."""
    if len(scores) < 2:
        return 0.0
    quantile = float(stats.t.ppf(0.975, len(scores) - 1))
    return float(quantile * scores.std(ddof=1) / np.sqrt(len(scores)))


def _colours(count: int) -> Sequence[str]:
    """Told apart by colour-blind people too; more than there are names for are a scale."""
    if count <= len(_COLOURS):
        return _COLOURS[:count]
    return [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, 0.9, count))]


def _parsed(line: Mapping[str, str]) -> Row:
    return Row(**{name: _value(name, line[name]) for name in COLUMNS})


def _value(name: str, text: str) -> Any:
    if name in _TEXT:
        return text
    if text == "":
        return None
    return int(text) if name in _WHOLE else float(text)
