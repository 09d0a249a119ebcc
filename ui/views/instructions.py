"""Instructions page: what a lead tells the annotators, with pairs that show what is meant."""

from collections.abc import Mapping

import streamlit as st

from domain.guide import LONGEST_REMARK, LONGEST_TEXT, MOST_EXAMPLES, Example
from domain.history import LogFilter
from domain.pairs import Pair
from ui import components, session, tables
from ui.gallery.mount import Tile, image_grid
from workflow import guides, history

CHOICES = 200  # newest labels to choose examples from
project, member = session.project(), session.member()
guide = guides.current_guide(project)
# What is half written waits through a look at other pages, until somebody saves a newer version.
version = f".{guide.guide_id}" if guide else ""
DRAWN = "instructions.drawn"  # the field of the text, and what was in it at first
TEXT, EXAMPLES = f"instructions.text{version}", f"instructions.examples{version}"


def draw_draft() -> None:
    """What this person had half written when somebody else saved, until they put it away."""
    now = (TEXT, guide.text if guide else "")
    field, saved = session.noted(DRAWN, now)
    draft = session.noted(field, "")
    if guide is None or field == TEXT or draft in ("", saved, guide.text):
        session.note(DRAWN, now)
        return
    st.warning(f"{components.as_text(guide.member)} saved while you were writing. You had written:")
    st.code(draft, language=None, wrap_lines=True)
    st.button("Put it away", key="instructions.put_away", on_click=session.note, args=(DRAWN, now))


def remark_key(pair: Pair) -> str:
    return f"instructions.remark.{pair.a}-{pair.b}{version}"


def choices(examples: tuple[Example, ...]) -> dict[Pair, bool]:
    """Pairs that can be examples, and whether they are similar."""
    newest = history.label_page(project, LogFilter(), limit=CHOICES, skip=0)
    found = {each.pair: each.similar for each in newest if each.similar is not None}
    return {**{each.pair: each.similar for each in examples}, **found}


def save(similar: Mapping[Pair, bool]) -> None:
    chosen = [
        Example(pair, similar[pair], session.field(remark_key(pair)).strip())
        for pair in session.field(EXAMPLES)
    ]
    changed: list[bool] = []
    components.attempt(
        lambda: changed.append(
            guides.write_guide(project, member, session.field(TEXT), chosen),
        )
    )
    for each in changed:
        st.toast(SAVED if each else UNCHANGED, icon=":material/check:")


def draw_example(pair: Pair, *, similar: bool, remark: str, paths: Mapping[int, str]) -> None:
    title = tables.LABEL_WORDS[similar]
    tiles = [Tile(each, paths.get(each, f"image {each}"), title) for each in pair]
    key = f"instructions.pair.{pair.a}-{pair.b}"
    image_grid(tiles, name=f"Example, {title.lower()}", key=key, on_chosen=lambda _: None)
    st.text_input(
        f"Why {title.lower()}",
        remark,
        max_chars=LONGEST_REMARK,
        key=remark_key(pair),
        persist_state="session",
        placeholder="What to look at, and what not",
    )


SAVED = "Saved: everybody sees it at their next visit."
UNCHANGED = "Nothing has changed since they were saved last."
components.page_header(
    "Instructions",
    "What counts as similar here. Annotators see this before their first pair, after every change, "
    "and whenever they press the key for it.",
)
draw_draft()
examples = guide.examples if guide else ()
similar = choices(examples)
st.text_area(
    "In your words",
    guide.text if guide else "",
    height=220,
    max_chars=LONGEST_TEXT,
    key=TEXT,
    persist_state="session",
    placeholder="Two images are similar if …  Look at … and not at …  When in doubt …",
    help="Plain text, shown as it is written.",
)
paths = history.paths_of(project, list(similar))
chosen = st.multiselect(
    "Examples",
    list(similar),
    [each.pair for each in examples],
    format_func=lambda pair: (
        f"{tables.LABEL_WORDS[similar[pair]]}: {paths.get(pair.a)}, {paths.get(pair.b)}"
    ),
    max_selections=MOST_EXAMPLES,
    key=EXAMPLES,
    persist_state="session",
    help="Among the newest answers; both similar ones and such that only look so.",
    placeholder="Choose answered pairs" if similar else "None is answered yet",
)
remarks = {each.pair: each.remark for each in examples}
for pair in chosen:
    draw_example(pair, similar=similar[pair], remark=remarks.get(pair, ""), paths=paths)
st.button("Save", type="primary", key="instructions.save", on_click=save, args=(similar,))
if guide is not None:
    st.caption(components.as_text(f"Last changed by {guide.member}, {guide.written_at[:10]}."))
