"""The result of a comparison of losses on disk: rows in `losses.csv`, picture, what made them."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from domain.arrays import FloatArray
from domain.files import written_whole
from worker.kept_table import read_table, write_table

CSV_NAME, PICTURE_NAME = "losses.csv", "losses.png"
FROZEN, CHECKPOINT = "frozen", "checkpoint"  # what was not fine-tuned stands in the table too
CHOSEN = "chosen by held-out images"
_BLUE, _GREY = "#0072B2", "#6b727c"
HELD_OUT = "held_out"  # stands for the average precision of held-out images
_PANELS = {
    "map": "mAP over {}'s (points)",
    HELD_OUT: "average precision of held-out images\nover {}'s (points)",
}
_IN_WORDS = {CHECKPOINT: "the checkpoint", FROZEN: "the frozen features"}


@dataclass(frozen=True)
class Row:
    """What a training gave with one seed; figures are fractions 0…1.

    Attributes:
        training: the loss with the parameters that are not the default; `frozen` and `checkpoint`
            for what it started from.
        steps: of fine-tuning.
        better: whether held-out images say that it should take the checkpoint's place.
        before, after, uncertainty: how they are ranked, see `training.ranking_selection`; None
            where too few answers are known to hold any out.
        seconds: of fine-tuning, the trial included.
        metrics: of images that no training has seen, by name.
    """

    training: str
    seed: int
    steps: int = 0
    better: bool = False
    before: float | None = None
    after: float | None = None
    uncertainty: float | None = None
    seconds: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """A training over all seeds.

    Attributes:
        mean, spread: of a metric (standard deviation; 0 with one seed).
        gain, gain_spread: over the checkpoint of the same seed, or what else is compared with.
        wins: seeds in which it was above.
        kept: seeds in which held-out images said so.
        held_out: mean of `after`; None without.
    """

    training: str
    seeds: int
    mean: float
    spread: float
    gain: float
    gain_spread: float
    wins: int
    kept: int
    held_out: float | None


_OWN = tuple(each.name for each in fields(Row) if each.name != "metrics")
_READ: Mapping[str, Callable[[str], Any]] = {
    "training": str,
    "seed": int,
    "steps": int,
    "better": lambda text: text == "True",
}


def reusable_rows(out: Path, identity: Mapping[str, Any]) -> list[Row]:
    """Rows of an earlier comparison in this folder; see `read_table`."""
    return read_table(out / CSV_NAME, identity, _parsed)


def write_rows(out: Path, rows: Sequence[Row], identity: Mapping[str, Any]) -> None:
    """Write `losses.csv` and the options it belongs to; see `write_table`."""
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    lines = ([*astuple(row)[:-1], *(row.metrics.get(name) for name in names)] for row in rows)
    write_table(out / CSV_NAME, identity, [*_OWN, *names], lines)


def with_choice(rows: Sequence[Row]) -> list[Row]:
    """The rows, and of each seed the training that held-out images would put in use.

    It is the one whose held-out images are ranked best, if that is better than the checkpoint.
    """
    chosen = []
    for seed in dict.fromkeys(row.seed for row in rows):
        own = [row for row in rows if row.seed == seed]
        start = [row for row in own if row.training == CHECKPOINT]
        better = [row for row in own if row.better and row.after is not None]
        best = max(better, key=lambda row: row.after or 0.0, default=None)
        for row in [best] if best is not None else start:
            chosen.append(Row(**{**vars(row), "training": CHOSEN}))
    return [*rows, *chosen]


def summaries(rows: Sequence[Row], metric: str, *, over: str = CHECKPOINT) -> list[Summary]:
    """Each training over its seeds, the best mean first; those without the metric are left out.

    Args:
        over: the training whose row of the same seed gains are counted from.
    """
    start = {row.seed: row.metrics.get(metric) for row in rows if row.training == over}
    found = []
    for training in dict.fromkeys(row.training for row in rows):
        own = [row for row in rows if row.training == training and metric in row.metrics]
        if own:
            found.append(_summary(training, own, start, metric))
    return sorted(found, key=lambda each: -each.mean)


def draw(out: Path, rows: Sequence[Row], *, over: str = CHECKPOINT) -> None:
    """`losses.png`: a line a training, a dot a seed, the mean: what each gained over its start.

    Args:
        over: `checkpoint` or `frozen`; of the latter no images were held out.
    """
    picture = io.BytesIO()
    drawn(rows, over=over).savefig(picture, format="png", dpi=120)
    with written_whole(out / PICTURE_NAME) as draft:
        draft.write_bytes(picture.getvalue())


def drawn(rows: Sequence[Row], *, over: str = CHECKPOINT) -> Figure:
    """What `draw` writes."""
    tuned = [row for row in rows if row.training not in (FROZEN, CHECKPOINT)]
    names = list(dict.fromkeys(row.training for row in tuned))
    shown = _PANELS if over == CHECKPOINT else {"map": _PANELS["map"]}
    gains = {metric: {n: _gains(rows, n, metric, over) for n in names} for metric in shown}
    order = sorted(names, key=lambda name: -_mean(gains["map"][name]))
    figure = Figure(figsize=(11, 1.4 + 0.3 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, (metric, title) in zip(panels, shown.items(), strict=True):
        _draw(axes, order[::-1], gains[metric])
        axes.set(xlabel=title.format(_IN_WORDS[over]))
        axes.grid(alpha=0.3)
    return figure


def _draw(axes: Axes, names: Sequence[str], gains: Mapping[str, FloatArray]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.8, len(names) - 0.2)
    axes.axvline(0, color=_GREY, ls="--", lw=1)
    for place, name in enumerate(names):
        values = gains[name]
        axes.scatter(values, [place] * len(values), s=14, color=_GREY, alpha=0.6)
        if len(values):
            axes.scatter([values.mean()], [place], s=50, color=_BLUE, zorder=3)


def _gains(rows: Sequence[Row], training: str, metric: str, over: str) -> FloatArray:
    """In points, of the seeds in which both are known."""
    start = {row.seed: row.metrics.get(metric) for row in rows if row.training == over}
    found = []
    for row in rows:
        before, after = start.get(row.seed), row.metrics.get(metric)
        if metric == HELD_OUT:
            before, after = row.before, row.after
        if row.training == training and before is not None and after is not None:
            found.append(100 * (after - before))
    return np.array(found)


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if len(values) else 0.0


def _values(rows: Iterable[Row], metric: str) -> FloatArray:
    found = (row.after if metric == HELD_OUT else row.metrics.get(metric) for row in rows)
    return np.array([value for value in found if value is not None])


def _summary(
    training: str, own: Sequence[Row], start: Mapping[int, float | None], metric: str
) -> Summary:
    values = _values(own, metric)
    gains = np.array([row.metrics[metric] - (start.get(row.seed) or np.nan) for row in own])
    held_out = _values(own, HELD_OUT)
    several = len(own) > 1
    return Summary(
        training=training,
        seeds=len(own),
        mean=float(values.mean()),
        spread=float(values.std(ddof=1)) if several else 0.0,
        gain=float(gains.mean()),
        gain_spread=float(gains.std(ddof=1)) if several else 0.0,
        wins=int((gains > 0).sum()),
        kept=sum(row.better for row in own),
        held_out=float(held_out.mean()) if len(held_out) else None,
    )


def _parsed(line: Mapping[str, str]) -> Row:
    own: dict[str, Any] = {
        name: _READ[name](line[name]) if name in _READ else _number(line[name]) for name in _OWN
    }
    metrics = {name: float(text) for name, text in line.items() if name not in _OWN and text}
    return Row(**own, metrics=metrics)


def _number(text: str) -> float | None:
    return float(text) if text else None
