"""Rounds page: train on the answers, follow the work, and see what each round brought."""

import streamlit as st

from domain.config import Depth
from ui import components, fine_tuning, live, models, session, tables, training_depth
from workflow import continuous, jobs, questions, rounds

project = session.project()
progress = questions.round_progress(project)

STRATEGY_PX, NUMBER_PX = 350, 170  # the longest name fits in, and this into a phone's width
LEARNS = "The model learns from all answers so far, is measured, and proposes new pairs."
HAS_LEARNT = (
    "The model has learnt from every answer so far. New pairs take the place of those still open."
)


def start(strategy: str, pairs: int, then_finetune: str | None, depth: Depth | None) -> None:
    training = rounds.needs_training(project, strategy)
    done = "Training has started." if training else "New pairs are being chosen."
    components.attempt(
        rounds.start_round,
        project,
        strategy=strategy,
        pairs=pairs,
        then_finetune=then_finetune,
        depth=depth,
        done=done,
    )


def draw_start() -> None:
    settings = project.config.selection
    learnt = rounds.has_learnt_all(project)
    st.header("Ask new pairs" if learnt else "Train, then ask new pairs", anchor=False)
    by_itself = continuous.in_words(project)
    if by_itself is not None:
        st.markdown(components.as_text(by_itself), width=components.READABLE_PX)
    st.caption(HAS_LEARNT if learnt else LEARNS, width=components.READABLE_PX)
    with st.container(horizontal=True, vertical_alignment="bottom", width=components.READABLE_PX):
        strategy = st.selectbox(
            "How pairs are chosen",
            list(tables.STRATEGIES),
            index=list(tables.STRATEGIES).index(settings.strategy.value),
            format_func=lambda name: tables.STRATEGIES[name],
            help=tables.STRATEGY_HELP,
            width=STRATEGY_PX,
            key="rounds.strategy",
            persist_state="session",
        )
        pairs = st.number_input(
            "Pairs to ask",
            1,
            10_000,
            settings.pairs_per_round,
            help=tables.PAIRS_HELP,
            width=NUMBER_PX,
            key="rounds.pairs",
            persist_state="session",
        )
        training = rounds.needs_training(project, strategy)
        depth = training_depth.choose(project) if training else None
        then_finetune = fine_tuning.choose_next() if training else None
        obstacle = rounds.check_can_train(project, strategy=strategy)
        st.button(
            "Start training" if training else "Ask new pairs",
            type="primary",
            key="rounds.start",
            on_click=start,
            args=(strategy, pairs, then_finetune, depth),
            disabled=obstacle is not None,
        )
    st.caption(tables.STRATEGY_WORDS[strategy], width=components.READABLE_PX)
    if depth is not None:
        training_depth.explain(project, depth, strategy)
    if then_finetune is not None:
        fine_tuning.explain(then_finetune)
    if obstacle is not None:
        st.info(components.as_text(obstacle), icon=":material/info:")


def draw_rounds() -> None:
    st.header("All rounds", anchor=False)
    rows = tables.round_rows(rounds.list_rounds(project))
    if not rows:
        components.empty_state("No rounds yet", "The first opens when images are catalogued.")
        return
    components.table(rows, tables.round_columns())


components.page_header(
    "Rounds", "Each round: people answer, the model learns, new pairs are asked."
)
if not jobs.worker_alive(project):
    components.worker_missing()
live.follow_jobs(project, cancellable=True)
live.last_failure(project)
models.kept_back(project)
draw_start()
if progress is not None:
    components.round_notes(progress.notes)
draw_rounds()
fine_tuning.fine_tuning(project)
models.model_menu(project)
live.logs(project)
