"""Rows and columns of the tables that pages show."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from domain.answers import Event, Kind, PairLabel, Source
from domain.flags import Flag, FlagEnd
from domain.history import LoggedEvent
from domain.rounds import RoundState, Run
from ui.gallery.mount import LabelRow, Picture, RowAction
from workflow import backups
from workflow.curves import CurvePoint
from workflow.doubts import Doubt
from workflow.rounds import RoundRow

STRATEGIES = {
    "components": "Sort into groups (fewest answers)",
    "mgue": "Most uncertain pairs (MGUE)",
    "bcgue": "Unsure to a classifier (BCGUE)",
    "mgue_no_diversity": "MGUE without diversity",
    "bcgue_no_diversity": "BCGUE without diversity",
    "random": "Random pairs",
}
STRATEGY_WORDS = {
    "components": "Finds the group of each image by asking about the likeliest one first: the "
    "fewest answers, where images are of kinds.",
    "mgue": "The pairs that the model can hardly tell similar or not, spread over different kinds.",
    "bcgue": "The same, judged by a classifier of pairs that is trained beside the model.",
    "mgue_no_diversity": "MGUE's pairs even where they are alike; to compare with.",
    "bcgue_no_diversity": "BCGUE's pairs even where they are alike; to compare with.",
    "random": "Any pairs; to compare with.",
}
STRATEGY_HELP = "\n".join(
    f"- **{name}**: {STRATEGY_WORDS[key]}" for key, name in STRATEGIES.items()
)
PAIRS_HELP = "How many pairs the next round asks. 100 take one person about a quarter of an hour."
ROUND_STATES = {
    RoundState.COLLECTING: "collecting answers",
    RoundState.TRAINING: "in training",
    RoundState.DONE: "done",
}
FLAG_ENDS = {
    FlagEnd.TAKEN_BACK: "Taken back by",
    FlagEnd.DEALT_WITH: "Off the list by",
}
LABEL_WORDS = {True: "Similar", False: "Different", None: "No verdict"}
KIND_WORDS = {
    Kind.SIMILAR: "Similar",
    Kind.DISSIMILAR: "Different",
    Kind.UNSURE: "Unsure",
    Kind.SKIP: "Skipped",
    Kind.VOID: "Taken back",
    Kind.RESOLUTION: "Settled",
}
CHOICES = (Kind.SIMILAR, Kind.DISSIMILAR, Kind.UNSURE)
SOURCE_WORDS = {Source.CLICK: "asked here", Source.IMPORT: "imported", Source.SEED: "given before"}
_PERCENT = "%.1f %%"  # of values 0…100; Streamlit's "percent" would multiply by 100 again
_QUALITY = {"map_at_5_min": "mAP@5", "map": "mAP", "recall_at_1": "R@1"}
_JUDGED = {
    "auc": "AUC",
    "average_precision": "Average precision",
    "balanced_accuracy": "Balanced accuracy",
}
_FIGURES = {
    **_QUALITY,
    **_JUDGED,
    **{f"{name}_random": f"{title}, random pairs" for name, title in _JUDGED.items()},
}


def round_rows(rows: Sequence[RoundRow]) -> list[dict[str, Any]]:
    """A line a round; quality columns only where some model has the figure."""
    measured = [
        name for name in _QUALITY if any(row.run and name in row.run.metrics for row in rows)
    ]
    return [_round_row(row, measured) for row in rows]


def round_columns() -> dict[str, Any]:
    """How the columns of `round_rows` are drawn."""
    quality = dict.fromkeys(_QUALITY.values(), st.column_config.NumberColumn(format=_PERCENT))
    answered = st.column_config.ProgressColumn(format="%d %%", max_value=100, color="primary")
    state = st.column_config.Column(width=130)  # of the longest; else it is cut off
    return {**quality, "Answered": answered, "State": state}


def curve_rows(points: Sequence[CurvePoint]) -> list[dict[str, Any]]:
    """A line a model with its figures; only those that some model has."""
    measured = [name for name in _FIGURES if any(name in point.metrics for point in points)]
    return [
        {
            "Model": point.run,
            "Round": point.round_number,
            "Bits": point.bits,
            "Minutes": round(point.minutes, 1),
            "Known pairs": point.known_pairs,
            **{_FIGURES[name]: _in_percent(point.metrics.get(name)) for name in measured},
        }
        for point in points
    ]


def curve_columns() -> dict[str, Any]:
    """How the columns of `curve_rows` are drawn."""
    return dict.fromkeys(_FIGURES.values(), st.column_config.NumberColumn(format=_PERCENT))


def run_name(run: Run) -> str:
    """A model in words."""
    learnt = "nothing learnt yet" if run.bits == 0 else f"{run.bits} bits"
    now = ", used now" if run.active else ""
    return f"Round {run.round_number}: {learnt}{now} ({run.name})"


def label_row(label: PairLabel, paths: Mapping[int, str]) -> LabelRow:
    """A pair's line in the table of labels."""
    a, b = label.pair
    return LabelRow(
        images=(_picture(a, paths), _picture(b, paths)),
        label=LABEL_WORDS[label.similar],
        note="in conflict" if label.in_conflict else "",
        members=", ".join(label.members),
        answered_at=label.answered_at,
        round=_round(label.round_number),
        actions=(RowAction("History", "history", f"{a}-{b}"),),
    )


def doubt_row(doubt: Doubt, paths: Mapping[int, str]) -> LabelRow:
    """A line of the labels that the model speaks against."""
    side = "below" if doubt.label.similar else "above"
    words = f"cosine {doubt.similarity:.2f}, {doubt.away:.2f} {side} the model's threshold"
    row = label_row(doubt.label, paths)
    return replace(row, note=f"{row.note}; {words}" if row.note else words)


def flag_row(flag: Flag, paths: Mapping[int, str]) -> LabelRow:
    """A line of what annotators flagged."""
    history = RowAction("History", "history", "-".join(map(str, flag.image_ids)))
    return replace(
        flag_history_row(flag),
        images=tuple(_picture(each, paths) for each in flag.image_ids),
        note=flag.note,
        actions=(history, _done(flag)) if len(flag.image_ids) == 2 else (_done(flag),),
    )


def flag_history_row(flag: Flag) -> LabelRow:
    """A line of the flags in a pair's history."""
    about = "" if len(flag.image_ids) == 2 else f"About image {flag.image_ids[0]} alone. "
    ended = "" if flag.end is None else f" {FLAG_ENDS[flag.end]} {flag.ended_by}."
    return LabelRow(
        images=(),
        label="Flagged",
        note=f"{about}{flag.note}{ended}".strip(),
        members=flag.member,
        answered_at=flag.flagged_at,
        round=_round(flag.round_number),
        actions=(_done(flag),) if flag.end is None else (),
        gone=flag.end is not None,
    )


def _done(flag: Flag) -> RowAction:
    return RowAction("Done", "done", str(flag.flag_id))


def own_row(logged: LoggedEvent, paths: Mapping[int, str]) -> LabelRow:
    """A line of somebody's own answers, which they can take back or give anew."""
    event = logged.event
    a, b = event.pair
    return LabelRow(
        images=(_picture(a, paths), _picture(b, paths)),
        label=_said(event),
        note="" if logged.stands else "taken back",
        members="",  # all are the reader's own
        answered_at=event.answered_at,
        round=_round(event.round_number),
        actions=_own_actions(event) if logged.stands else (),
        gone=not logged.stands,
    )


def history_row(logged: LoggedEvent) -> LabelRow:
    """A line of a pair's history, for leads, with all that is known of it."""
    event = logged.event
    may_go = logged.stands and event.kind is not Kind.VOID
    return LabelRow(
        images=(),
        label=_said(event),
        note=" ".join(_circumstances(logged)),
        members=event.member,
        answered_at=event.answered_at,
        round=_round(event.round_number),
        actions=(RowAction("Take back", "take_back", event.key),) if may_go else (),
        gone=not logged.stands,
    )


def _own_actions(event: Event) -> tuple[RowAction, ...]:
    if event.kind is Kind.RESOLUTION:  # one of several words, perhaps: Conflicts takes all back
        return ()
    others = (kind for kind in CHOICES if kind is not event.kind)
    anew = (RowAction(KIND_WORDS[kind], kind.value, event.key) for kind in others)
    return (*anew, RowAction("Take back", "take_back", event.key))


def _said(event: Event) -> str:
    if event.kind is not Kind.RESOLUTION:
        return KIND_WORDS[event.kind]
    return f"Settled: {LABEL_WORDS[event.similar].lower()}"


def _circumstances(logged: LoggedEvent) -> Iterator[str]:
    """What is known of an event, sentence by sentence."""
    event = logged.event
    if logged.taken_back_by is not None:
        yield f"Taken back by {logged.taken_back_by}."
    if event.kind is Kind.VOID:
        yield f"Takes back event {event.refers_to}."
    if event.source is not Source.CLICK:
        yield f"{SOURCE_WORDS[event.source].capitalize()}."
    if logged.hidden_repeat:
        yield "A hidden repeat: asked a second time, to see whether the answer stays."
    if event.reason:
        yield event.reason if event.kind is Kind.RESOLUTION else f"Why asked: {event.reason}"
    if logged.similarity is not None:
        yield f"Similarity {logged.similarity:.2f} to the model then{_aside(logged)}."
    if event.model:
        yield f"Model {event.model}."
    if event.answer_ms is not None:
        yield f"{event.answer_ms / 1000:.1f} s."
    yield f"Event {event.event_id}."


def _aside(logged: LoggedEvent) -> str:
    """How far the pair was from the model's threshold, where it had one."""
    if logged.similarity is None or logged.threshold is None:
        return ""
    away = logged.similarity - logged.threshold
    return f", {abs(away):.2f} {'below' if away < 0 else 'above'} its threshold"


def _round(number: int | None) -> str:
    return "" if number is None else str(number)


def _picture(image_id: int, paths: Mapping[int, str]) -> Picture:
    return Picture(id=image_id, caption=paths.get(image_id, f"image {image_id}"))


def _round_row(row: RoundRow, measured: Sequence[str]) -> dict[str, Any]:
    strategy = row.round.strategy
    run = row.run
    return {
        "Round": row.round.number,
        "State": ROUND_STATES[row.round.state],
        "Pairs": row.target,
        "Answered": min(round(100 * row.answered / row.target), 100) if row.target else 0,
        "Chosen as": STRATEGIES.get(strategy, strategy),
        "Trained on bits": None if run is None else run.bits,
        "Known pairs": None if run is None else run.known_pairs,
        **{_QUALITY[name]: _percent(run, name) for name in measured},
        "Model": None if run is None else f"{run.name}, in use" if run.active else run.name,
    }


def _percent(run: Run | None, metric: str) -> float | None:
    return None if run is None else _in_percent(run.metrics.get(metric))


def _in_percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


_BACKUPS_MADE = {
    backups.BY_ITSELF: "by the worker",
    backups.BY_HAND: "by hand",
    backups.REPLACED: "before a restore",
}


def backup_rows(found: Sequence[backups.Listed]) -> list[dict[str, Any]]:
    """Backups as a table, the newest first."""
    return [
        {
            "Made (UTC)": each.manifest.made_at[:16].replace("T", " ") if each.manifest else None,
            "Age": age(each.manifest.made_at) if each.manifest else "damaged, or no backup",
            "Occasion": _BACKUPS_MADE.get(each.made, "elsewhere"),
            "Answers": each.manifest.answers if each.manifest else None,
            "Size": size(each.size_bytes),
            "File": each.path.name,
        }
        for each in found
    ]


def age(moment: str) -> str:
    """How long ago a moment was, in the largest unit: "3 hours"; "just now" in its first minute."""
    minutes = int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds() // 60)
    for unit, length in (("day", 1440), ("hour", 60)):
        if minutes >= length:
            count = minutes // length
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return "just now" if minutes < 1 else "1 minute" if minutes == 1 else f"{minutes} minutes"


def size(size_bytes: int) -> str:
    """Bytes in the unit in which a person thinks of them: "1.4 MB"."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
