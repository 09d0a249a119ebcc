"""Pieces that several pages draw: headers, errors, empty states, a job's progress."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st

from domain.errors import AccessError, AnnealError
from domain.jobs import Job, JobState
from domain.members import Role, require
from ui import session
from ui.charts import Drawing
from workflow.status import NextStep

PAGES = {
    "annotate": ("views/annotate.py", "Go to Annotate"),
    "overview": ("views/overview.py", "Go to Overview"),
    "rounds": ("views/rounds.py", "Go to Rounds"),
    "curves": ("views/curves.py", "Go to Curves"),
    "search": ("views/search.py", "Go to Search"),
    "explore": ("views/explore.py", "Go to Explore"),
    "labels": ("views/labels.py", "Go to Labels"),
    "conflicts": ("views/conflicts.py", "Go to Conflicts"),
    "answers": ("views/my_answers.py", "Go to My answers"),
    "people": ("views/people.py", "Go to People"),
    "you": ("views/you.py", "Who are you?"),
}
READABLE_PX = 760  # a line of text longer than this is tiring to read
REFRESH_S = 2.0
ROW_PX, MOST_ROWS = 35, 10  # of a table; one with more rows can be scrolled
WORKER_COMMAND = "python cli.py worker"
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-!|~$&.=^])")
# What Streamlit looks for after the escapes: emoji names and colours, addresses, arrows. An
# invisible character keeps it from finding them.
_FOUND_LATER = re.compile(
    r":(?=[\w+\-/]+[:\[])|:(?=//)|\bwww(?=\.)|(?<=\S)@(?=\S)|(?<!\S)[<>~-](?=[>=-]{1,2}(?!\S))",
    re.IGNORECASE,
)
_WORD_JOINER = "\u2060"
_STATE_BADGES = {
    JobState.QUEUED: ("Queued", ":material/schedule:"),
    JobState.RUNNING: ("Running", ":material/progress_activity:"),
    JobState.DONE: ("Done", ":material/check:"),
    JobState.FAILED: ("Failed", ":material/error:"),
    JobState.CANCELLED: ("Cancelled", ":material/block:"),
}


def as_text(text: str) -> str:
    """Markdown that shows a text as it is: no markup, links, images, emoji names or new lines."""
    one_line = " ".join(text.split())
    return _MARKUP.sub(r"\\\1", _FOUND_LATER.sub(rf"\g<0>{_WORD_JOINER}", one_line))


def round_notes(notes: Sequence[str]) -> None:
    """What was out of the ordinary in choosing a round's questions; nothing where all is well."""
    if notes:
        st.info("  \n".join(as_text(each) for each in notes), icon=":material/lightbulb:")


def counted(number: int, noun: str) -> str:
    """A number and what it counts: "1 image", "1,200 images"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def page_header(title: str, purpose: str) -> None:
    """The page's title and one sentence on what it is for."""
    st.title(title, anchor=False)
    st.caption(as_text(purpose), width=READABLE_PX)


def show_error(error: AnnealError) -> None:
    """What went wrong and what to do next."""
    hint = f"\n\n{as_text(error.hint)}" if error.hint else ""
    st.error(as_text(error.message) + hint, icon=":material/error:")


@contextmanager
def errors_shown() -> Iterator[None]:
    """Show an error that a user can mend in place of what could not be drawn."""
    try:
        yield
    except AnnealError as error:
        show_error(error)


def attempt(
    action: Callable[..., Any],
    *args: Any,
    done: str = "",
    needs: Role = Role.LEAD,
    **kwargs: Any,
) -> None:
    """Do a write in a callback; say that it is done, or why it could not be.

    Args:
        action: what to do, with the further arguments.
        done: what to say then.
        needs: the role that it takes, looked up now: a page may have been drawn before a change.
    """
    try:
        require(session.member(), needs, to="do this")
        action(*args, **kwargs)
    except AnnealError as error:
        st.toast(as_text(str(error)), icon=":material/error:", duration="long")
        return
    if done:
        st.toast(as_text(done), icon=":material/check:")


def page_link(
    page: str, label: str | None = None, *, query: Mapping[str, str] | None = None
) -> None:
    """A link to another page, by its short name; `query` stands in the address then."""
    path, usual = PAGES[page]
    st.page_link(
        path,
        label=label or usual,
        icon=":material/arrow_forward:",
        icon_position="right",
        query_params=query,
    )


def step_card(step: NextStep, *, here: str) -> None:
    """The one thing to do next, with a button that leads there unless it is done on this page."""
    path, label = PAGES[step.page]
    with st.container(border=True, key="next_step"):
        words, way = st.columns([5, 1], vertical_alignment="center")
        with words, st.container(gap="xsmall"):
            st.caption("Next step")
            st.header(as_text(step.title), anchor=False)
            st.markdown(as_text(step.text), width=READABLE_PX)
        with way:
            if step.page != here and st.button(
                label, type="primary", key="next_step.go", width="stretch"
            ):
                st.switch_page(path)


def empty_state(title: str, text: str, page: str | None = None) -> None:
    """In place of content that is not there yet: why, and where to get it."""
    with st.container(border=True):
        st.markdown(f"**{as_text(title)}**")
        st.caption(as_text(text), width=READABLE_PX)
        if page is not None:
            page_link(page)


def refusal(title: str, error: AccessError) -> None:
    """In place of a page that is not for the person: why, whom to ask, and what is theirs."""
    st.title(title, anchor=False)
    with st.container(border=True):
        st.markdown(f"**{as_text(error.message)}**")
        st.caption(as_text(error.hint), width=READABLE_PX)
        page_link("annotate")


def pager(key: str, *, more: bool) -> None:
    """Buttons to the newer and older lines of a list, where there are any; it stands above them.

    Below, it would be pushed down when the list has come.

    Args:
        key: the list's, as in `session.page_number`.
        more: whether there are older lines than those on the page.
    """
    number = session.page_number(key)
    if not number and not more:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        turn = session.turn_page
        st.button("Newer", key=f"{key}.newer", on_click=turn, args=(key, -1), disabled=not number)
        st.button("Older", key=f"{key}.older", on_click=turn, args=(key, 1), disabled=not more)
        st.caption(f"Page {number + 1:,}", width="content")


def job_card(job: Job, *, name: str) -> None:
    """A job's name, state, progress and last message."""
    label, icon = _STATE_BADGES[job.state]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{name}**", width="content")
        st.badge(label, icon=icon, color="red" if job.state is JobState.FAILED else "gray")
    if job.state is JobState.RUNNING:
        percent = f"{job.progress:.0%}"
        st.progress(job.progress, text=f"{percent} · {as_text(job.message or 'starting')}")
    elif job.message:
        st.caption(as_text(job.message))


def chart(drawing: Drawing) -> None:
    """A chart with its content in words for screen readers."""
    st.altair_chart(drawing.legible(), width="stretch", height=drawing.height_px, alt=drawing.words)


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, Any] | None = None,
    *,
    key: str | None = None,
) -> None:
    """Rows to look at; its room is kept free while it loads, so that nothing below jumps.

    Args:
        rows: what stands under each column's name.
        columns: how columns are drawn, as Streamlit's `column_config`.
        key: of the table, where tests or tools look for it.
    """
    height_px = ROW_PX * (min(len(rows), MOST_ROWS) + 1) + 2
    st.dataframe(
        list(rows),
        hide_index=True,
        column_config=columns,
        height=height_px,
        placeholder="",
        key=key,
    )


def download(label: str, content: Callable[[], str | bytes], file_name: str) -> None:
    """A download whose content is made when somebody clicks."""
    st.download_button(
        label, content, file_name, on_click="ignore", icon=":material/download:", key=file_name
    )


def choice(label: str, titles: Mapping[str, str], key: str, *, help_text: str | None = None) -> str:
    """One of several names, shown by their titles side by side; the first at first."""
    return st.radio(
        label,
        list(titles),
        horizontal=True,
        format_func=lambda name: titles[name],
        key=key,
        help=help_text,
        persist_state="session",
    )


def figure(label: str, value: int, help_text: str) -> None:
    """One of a row of counts."""
    st.metric(label, f"{value:,}", border=True, help=help_text)


def worker_missing() -> None:
    """How to start the worker, for a page whose work waits for it."""
    st.warning(
        f"The worker is not running: nothing is prepared or trained. Start it with `script/run`, "
        f"or with `{WORKER_COMMAND}` in another terminal.",
        icon=":material/warning:",
    )
