"""The part of the Rounds page that trains a model further with another loss."""

from typing import Any

import streamlit as st

from domain.config import Depth
from domain.loss_catalogue import LOSSES, loss_choice
from ui import components, training_depth
from workflow import finetuning, speed
from workflow.finetuning import FineTuned
from workflow.project import Project

LOSS_PX = 350
NO_LOSS = "none"
FIRST_CHOICE = "dcl"  # gained most, and in each seed, see docs/losses.md
EXPLAINED = (
    "The model in use is trained further with another loss, on the answers it has learnt from. "
    "What comes out is kept to compare, and used only if it ranks images better whose answers were "
    "held out of both."
)
THEN_HELP = (
    "After the new pairs are chosen, so that nobody waits for it; as deep as the training reaches."
)
DEPTH_HELP = (
    "The head alone, or the network that makes the features, too. A model whose training reached "
    "the whole network is trained further as a whole, unless you choose."
)
DEPTHS = {**training_depth.NAMES, Depth.AUTO: "As deep as it learnt"}
_NAMES = [loss.name for loss in LOSSES]
_PERCENT = st.column_config.NumberColumn(format="%.1f %%")


def title_of(name: str) -> str:
    """How people call a loss."""
    return "Nothing" if name == NO_LOSS else loss_choice(name).title


def choose_next() -> str | None:
    """The loss that the next model is fine-tuned with, if somebody chose one."""
    chosen = st.selectbox(
        "Then fine-tune with",
        [NO_LOSS, *_NAMES],
        format_func=title_of,
        help=THEN_HELP,
        width=LOSS_PX,
        key="rounds.then_finetune",
        persist_state="session",
    )
    return None if chosen == NO_LOSS else chosen


def explain(loss: str) -> None:
    """A loss in a sentence, with its source."""
    choice = loss_choice(loss)
    words = f"{choice.title}: {choice.sentence} ({choice.source})"
    st.caption(components.as_text(words), width=components.READABLE_PX)


def fine_tuning(project: Project) -> None:
    """Start a fine-tuning, and see what earlier ones brought."""
    st.header("Fine-tune the model in use", anchor=False)
    machine = speed.read_speed(project)
    words = EXPLAINED if machine is None else f"{EXPLAINED} It is trained on {machine.name}."
    st.caption(components.as_text(words), width=components.READABLE_PX)
    with st.container(horizontal=True, vertical_alignment="bottom", width=components.READABLE_PX):
        loss = st.selectbox(
            "Loss",
            _NAMES,
            index=_NAMES.index(FIRST_CHOICE),
            format_func=title_of,
            width=LOSS_PX,
            key="rounds.finetune_loss",
            persist_state="session",
        )
        depth = _choose_depth()
        obstacle = finetuning.check_can_fine_tune(project, depth=depth)
        st.button(
            "Fine-tune",
            key="rounds.finetune",
            on_click=_start,
            args=(project, loss, depth),
            disabled=obstacle is not None,
        )
    explain(loss)
    if obstacle is None:
        start = finetuning.starting_run(project)
        training_depth.explain_further(project, finetuning.tuning_depth(project, start, depth))
        if why := finetuning.held_back(project, start, depth):
            st.info(components.as_text(why), icon=":material/info:")
    else:
        st.info(components.as_text(obstacle), icon=":material/info:")
    _results(finetuning.fine_tuned(project))


def _choose_depth() -> Depth:
    chosen = st.selectbox(
        "Train",
        [depth.value for depth in DEPTHS],
        format_func=lambda name: DEPTHS[Depth(name)],
        help=DEPTH_HELP,
        width=training_depth.DEPTH_PX,
        key="rounds.finetune_depth",
        persist_state="session",
    )
    return Depth(chosen)


def _start(project: Project, loss: str, depth: Depth) -> None:
    done = f"The worker fine-tunes with {title_of(loss)}."
    components.attempt(finetuning.start_fine_tuning, project, loss, depth=depth, done=done)


def _results(found: list[FineTuned]) -> None:
    if not found:
        return
    st.markdown(components.as_text(f"{found[-1].run.name}: {found[-1].how.verdict}"))
    rows = [_row(each) for each in reversed(found)]
    columns: dict[str, Any] = dict.fromkeys(("Before", "After", "Sure to"), _PERCENT)
    components.table(rows, columns)


def _row(tuned: FineTuned) -> dict[str, Any]:
    how = tuned.how
    judged = how.images > 0
    return {
        "Model": tuned.run.name,
        "Loss": title_of(how.loss),
        "Started from": how.parent,
        "Trained": training_depth.NAMES[Depth(how.depth)],
        "Held-out images": how.images,
        "Before": 100 * how.before if judged else None,
        "After": 100 * how.after if judged else None,
        "Sure to": 100 * how.uncertainty if judged else None,
        "In use": tuned.run.active,
        "Trained on": how.device,
    }
