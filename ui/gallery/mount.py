"""Pictures in pages: a grid to choose from, and the table of answered pairs.

Both are components, because pictures come from an own route that answers to a cookie only, and
because names of files must stay text.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import streamlit as st

from ui import session

_HERE = Path(__file__).parent
FEW = 2
FEW_PX, TITLE_PX = 284, 24  # of so many pictures with their captions, and titles; see gallery.css


@dataclass(frozen=True)
class Tile:
    """A picture of the grid, with its caption and, above it, a short title."""

    id: int
    caption: str
    title: str = ""


@dataclass(frozen=True)
class Result:
    """A found picture.

    Attributes:
        note: what is known of it, in words.
        own: what the reader answered: similar to the query or not; None: nothing.
        after: the reader's newest event about the pair; comes back with a click.
        markable: whether the reader can say if it is similar to the query.
    """

    id: int
    caption: str
    title: str = ""
    note: str = ""
    own: bool | None = None
    after: int = 0
    markable: bool = False


@dataclass(frozen=True)
class Click:
    """A click on a result: `kind` is similar, dissimilar or undo; see `Result` for `after`."""

    id: int
    kind: str
    after: int


@dataclass(frozen=True)
class Picture:
    id: int
    caption: str


@dataclass(frozen=True)
class RowAction:
    """A button of a line: its words, and what is called back with when it is pressed."""

    label: str
    name: str
    value: str


@dataclass(frozen=True)
class LabelRow:
    """A line of the table of labels.

    Attributes:
        images: both of a pair; none where all lines are about the same.
        answered_at: UTC ISO 8601 text; shown in the browser's own zone.
        gone: the answer does not count any more.
    """

    images: tuple[Picture, ...]
    label: str
    note: str
    members: str
    answered_at: str
    round: str
    actions: tuple[RowAction, ...] = ()
    gone: bool = False


@dataclass(frozen=True)
class Strip:
    """A group of pictures in a line: its title, some of it, and the words to see all of it."""

    title: str
    pictures: tuple[Picture, ...]
    all: str


@dataclass(frozen=True)
class Voice:
    """What one member said of a pair; `at` is UTC ISO 8601 text, `why` the reason it was asked."""

    member: str
    said: str
    at: str
    why: str


@dataclass(frozen=True)
class ClaimWords:
    """A pair's label and who gave it.

    Attributes:
        similar: its label; None where members disagree.
        model: what the model says of it; empty without one.
        hint: names the pair, for its button.
        weakest: it would be set aside first.
    """

    similar: bool | None
    label: str
    voices: tuple[Voice, ...]
    model: str
    hint: str = ""
    weakest: bool = False


@dataclass(frozen=True)
class Choice:
    """A button that settles a conflict, and what it does beyond its words."""

    ruling: str
    text: str
    hint: str = ""


@dataclass(frozen=True)
class DisputeCard:
    """A conflict in words and pictures.

    Attributes:
        images: the pair that opened it.
        path: the pictures along the earlier answers, with `steps` between them; both empty for
            members who disagree.
    """

    title: str
    images: tuple[Picture, Picture]
    own: ClaimWords
    own_choices: tuple[Choice, ...]
    path_title: str
    path: tuple[Picture, ...]
    steps: tuple[ClaimWords, ...]
    path_choices: tuple[Choice, ...]


def _source(*names: str) -> str:
    return "\n".join((_HERE / name).read_text(encoding="utf-8") for name in names)


def _access() -> dict[str, str]:
    """What buys the cookie for pictures, and the version that makes their addresses cacheable."""
    return {"token": session.token(), "version": session.signer().fingerprint()}


_grid = st.components.v2.component(
    "anneal_gallery",
    html='<ul class="gallery"></ul>',
    css=_source("gallery.css"),
    js=_source("pictures.js", "gallery.js"),
)
_results = st.components.v2.component(
    "anneal_results",
    html='<ul class="gallery"></ul>',
    css=_source("gallery.css"),
    js=_source("pictures.js", "results.js"),
)
_table = st.components.v2.component(
    "anneal_label_table",
    html=_source("label_table.html"),
    css=_source("gallery.css"),
    js=_source("pictures.js", "label_table.js"),
)
_strips = st.components.v2.component(
    "anneal_strips",
    html='<div class="strips"></div>',
    css=_source("gallery.css"),
    js=_source("pictures.js", "strips.js"),
)
_dispute = st.components.v2.component(
    "anneal_dispute",
    html='<div class="dispute"></div>',
    css=_source("gallery.css", "dispute.css"),
    js=_source("pictures.js", "dispute.js"),
)


def image_grid(
    tiles: Sequence[Tile], *, name: str, key: str, on_chosen: Callable[[int], None]
) -> None:
    """A grid of pictures; a click, or Enter, on one calls back with its image id.

    One or two have a size of their own, whose room is kept free until they have come.
    """

    def chosen() -> None:
        image_id = session.component_value(key, "chosen")
        if isinstance(image_id, int):
            on_chosen(image_id)

    data = {"access": _access(), "name": name, "items": [asdict(tile) for tile in tiles]}
    room = FEW_PX + TITLE_PX * any(tile.title for tile in tiles)
    height: int | Literal["content"] = room if len(tiles) <= FEW else "content"
    _grid(key=key, data=data, height=height, on_chosen_change=chosen)


def result_grid(
    results: Sequence[Result],
    *,
    name: str,
    key: str,
    on_chosen: Callable[[int], None],
    on_marked: Callable[[Click], None],
) -> None:
    """A ranked grid: a click on a picture calls back with its id, one on a button with the mark."""

    def chosen() -> None:
        image_id = session.component_value(key, "chosen")
        if isinstance(image_id, int):
            on_chosen(image_id)

    def marked() -> None:
        said = session.component_value(key, "marked")
        if isinstance(said, Mapping):
            click = Click(said.get("id", 0), said.get("kind", ""), said.get("after", 0))
            if isinstance(click.id, int) and isinstance(click.after, int):
                on_marked(click)

    data = {"access": _access(), "name": name, "items": [asdict(each) for each in results]}
    _results(key=key, data=data, on_chosen_change=chosen, on_marked_change=marked)


def label_table(
    rows: Sequence[LabelRow], *, key: str, on_action: Mapping[str, Callable[[str], None]]
) -> None:
    """The table of labels; a line's button calls its action, by name, with its value."""

    def acted() -> None:
        pressed = session.component_value(key, "acted")
        action = on_action.get(str(pressed["name"])) if pressed else None
        if action is not None:
            action(str(pressed["value"]))

    data = {"access": _access(), "rows": [asdict(row) for row in rows]}
    _table(key=key, data=data, on_acted_change=acted)


def group_strips(strips: Sequence[Strip], *, key: str) -> tuple[str, int] | None:
    """Groups of pictures; returns what was clicked: "image" or "group", and the id of an image."""
    data = {"access": _access(), "strips": [asdict(each) for each in strips]}
    _strips(key=key, data=data, on_acted_change=_go_on)
    acted = session.component_value(key, "acted")
    if not isinstance(acted, Mapping) or not isinstance(acted.get("id"), int):
        return None
    return str(acted.get("name")), acted["id"]


def _go_on() -> None:
    """Who draws the strips opens another page then, which a callback cannot do."""


def dispute_card(
    card: DisputeCard, *, key: str, on_ruled: Callable[[str, int | None], None]
) -> None:
    """A conflict with its pictures; a button calls back with the ruling and the step it is about.

    The step is a place in `card.steps`; None where the ruling is about the whole conflict.
    """

    def ruled() -> None:
        decision = session.component_value(key, "ruled")
        if isinstance(decision, Mapping) and isinstance(decision.get("ruling"), str):
            place = decision.get("link")
            on_ruled(decision["ruling"], place if isinstance(place, int) else None)

    data = {"access": _access(), **asdict(card)}
    _dispute(key=key, data=data, on_ruled_change=ruled)
