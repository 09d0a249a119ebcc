"""What changes by itself while a page is open: the job at work and whether the worker is there."""

from dataclasses import replace

import streamlit as st

from domain.jobs import Job, JobState
from ui import components
from ui.loss_curve import loss_curve
from workflow import jobs
from workflow.project import Project
from workflow.questions import round_progress

LOG_LINES = 200  # a page is no place for more; the whole log is in `python cli.py jobs`
JOB_NAMES = {
    jobs.PREPARE: "Preparing the images",
    jobs.TRAIN: "Training on the answers",
    jobs.PROPOSE: "Choosing new pairs",
    jobs.ROUND: "Training on the answers, then choosing new pairs",
    jobs.FINETUNE: "Fine-tuning the model",
    jobs.USE: "Embedding the images with an earlier model",
    jobs.VIEWS: "Embedding turned and enlarged views of the images",
    jobs.PEOPLE: "Comparing people's answers",
    jobs.BACKUP: "Backing up",
    jobs.VERIFY: "Checking that everything is whole",
}


def job_name(job: Job) -> str:
    """What a job does, in words."""
    return JOB_NAMES.get(job.kind, job.kind.capitalize())


def follow_jobs(project: Project, *, cancellable: bool = False) -> None:
    """The job at work, refreshed every two seconds; the page is drawn anew when it changes."""
    _follow(project, _state(project), cancellable)


@st.fragment(run_every=components.REFRESH_S)
def _follow(project: Project, drawn: tuple[int | None, bool], cancellable: bool) -> None:
    if _state(project) != drawn:
        st.rerun()
    job = jobs.running(project)
    if job is None:
        return
    with st.container(border=True, key="running_job"):
        shown = job if drawn[1] else replace(job, state=JobState.QUEUED)  # its worker is gone
        components.job_card(shown, name=job_name(job))
        if not drawn[1]:
            st.caption("It waits for the worker, which is not running.")
        if cancellable:
            _draw_losses(project, job)
            _cancel_button(project, job)


def _draw_losses(project: Project, job: Job) -> None:
    drawing = loss_curve(jobs.losses(project, job))
    if drawing is not None:
        components.chart(drawing)


@st.fragment(run_every=components.REFRESH_S)
def follow_round(project: Project) -> None:
    """How many questions of the current round are answered, refreshed every two seconds."""
    progress = round_progress(project)
    if progress is None or progress.total == 0:
        st.caption("No pairs are being asked.")
        return
    target, more = progress.target, max(progress.answered - progress.target, 0)
    words = f"Round {progress.round_number}: {progress.answered - more} of {target} answered"
    words += f", and {more} more" if more else ""
    st.progress(1 - progress.left / target if target else 1.0, text=words)
    if progress.left == 0 and progress.spare:
        st.caption(
            f"{components.counted(progress.spare, 'more pair')} can be answered until the next "
            "questions come. Every answer counts."
        )
    if progress.leased:
        st.caption(f"{components.counted(progress.leased, 'pair')} on people's screens now.")


def _cancel_button(project: Project, job: Job) -> None:
    def cancel() -> None:
        components.attempt(jobs.cancel, project, job.job_id)

    st.button(
        "Stopping …" if job.cancel_requested else "Cancel",
        key=f"rounds.cancel.{job.job_id}",
        on_click=cancel,
        disabled=job.cancel_requested,
        help="Answers are kept. What is finished is not done again after a retry.",
    )


def last_failure(project: Project) -> None:
    """Why the newest job failed or was stopped, with a button to try it again."""
    newest = next(iter(jobs.recent(project, limit=1)), None)
    if newest is None or newest.state not in (JobState.FAILED, JobState.CANCELLED):
        return
    job_id = newest.job_id

    def retry() -> None:
        components.attempt(jobs.retry, project, job_id, done="It is tried again.")

    with st.container(border=True, key="failed_job"):
        components.job_card(newest, name=job_name(newest))
        if newest.error:
            st.error(components.as_text(newest.error), icon=":material/error:")
        st.caption("No answer is lost, and what it had finished is not done again.")
        st.button("Try again", key=f"rounds.retry.{job_id}", on_click=retry)


def logs(project: Project) -> None:
    """What recent jobs wrote, one job at a time."""
    recent = jobs.recent(project)
    if not recent:
        return
    with st.expander("Log of the worker", key="rounds.logs", on_change="rerun") as shown:
        if not shown.open:
            return
        job = st.selectbox("Job", recent, format_func=_job_title, key="rounds.log_job")
        if job.state.ended:  # while it works, it stands above
            _draw_losses(project, job)
        _log(project, job.job_id)


@st.fragment(run_every=components.REFRESH_S)
def _log(project: Project, job_id: int) -> None:
    lines = jobs.log(project, job_id)[-LOG_LINES:]
    if not lines:
        st.caption("Nothing has been written yet.")
        return
    text = "\n".join(f"{line.logged_at[11:19]}  {line.text}" for line in lines)
    st.code(text, language=None, wrap_lines=True, height=min(400, 48 + 22 * len(lines)))


def _job_title(job: Job) -> str:
    when = job.created_at[:16].replace("T", " ")
    return f"{job.job_id}: {job_name(job)}, {job.state.value}, {when} UTC"


def _state(project: Project) -> tuple[int | None, bool]:
    job = jobs.running(project)
    return (None if job is None else job.job_id, jobs.worker_alive(project))
