"""How the loss of a training falls, while it trains and afterwards."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import altair as alt

# Altair asks whether pandas is loaded; half loaded by another person's first page, it would fail.
import pandas as pd

from ui.charts import BLUE, Drawing
from workflow.jobs import LossPoint

HEIGHT_PX = 150
FEWEST = 2  # points make a line
MINUTE_S = 60.0


def loss_curve(losses: Sequence[LossPoint]) -> Drawing | None:
    """The loss against time, a line a training; None before there is one."""
    if len(losses) < FEWEST:
        return None
    unit, name = (MINUTE_S, "minutes") if losses[-1].at_s > 2 * MINUTE_S else (1.0, "seconds")
    rows = pd.DataFrame([vars(each) | {"at": each.at_s / unit} for each in losses])
    chart = (
        alt.Chart(rows)  # as a table, whose changes are drawn without drawing the chart anew
        .mark_line(color=BLUE, strokeWidth=2)
        .encode(
            x=alt.X("at:Q", title=f"{name} of training", axis=alt.Axis(tickCount=6)),
            y=alt.Y(
                "loss:Q", title="loss", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4)
            ),
            detail="training:N",
            tooltip=[
                alt.Tooltip("at:Q", title=name, format=".1f"),
                alt.Tooltip("loss:Q", format=".4f"),
            ],
        )
    )
    chart.height = HEIGHT_PX
    return Drawing(chart, " ".join(_in_words(losses)))


def _in_words(losses: Sequence[LossPoint]) -> Iterator[str]:
    for _, of_one in groupby(losses, key=lambda each: each.training):
        first, *rest = of_one
        last = rest[-1] if rest else first
        yield f"Loss of the training: from {first.loss:.4f} to {last.loss:.4f}."
