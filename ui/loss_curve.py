"""How the loss of a training falls, while it trains and afterwards."""

from collections.abc import Sequence

import altair as alt

# Altair asks whether pandas is loaded; half loaded by another person's first page, it would fail.
import pandas as pd

from ui.charts import BLUE, Drawing

HEIGHT_PX = 150
FEWEST = 2  # points make a line
MINUTE_S = 60.0


def loss_curve(losses: Sequence[tuple[float, float]]) -> Drawing | None:
    """The loss against time; None before there is a line.

    Args:
        losses: seconds and loss, in order of time.
    """
    if len(losses) < FEWEST:
        return None
    unit, name = (MINUTE_S, "minutes") if losses[-1][0] > 2 * MINUTE_S else (1.0, "seconds")
    rows = pd.DataFrame([(at / unit, loss) for at, loss in losses], columns=["at", "loss"])
    chart = (
        alt.Chart(rows)  # as a table, whose changes are drawn without drawing the chart anew
        .mark_line(color=BLUE, strokeWidth=2)
        .encode(
            x=alt.X("at:Q", title=f"{name} since it was asked for", axis=alt.Axis(tickCount=6)),
            y=alt.Y(
                "loss:Q", title="loss", scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4)
            ),
            tooltip=[
                alt.Tooltip("at:Q", title=name, format=".1f"),
                alt.Tooltip("loss:Q", format=".4f"),
            ],
        )
    )
    chart.height = HEIGHT_PX
    first, last = losses[0][1], losses[-1][1]
    return Drawing(chart, f"Loss of the training: from {first:.4f} to {last:.4f}.")
