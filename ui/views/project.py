"""Project page: keep what people did, move it, and see that it is whole."""

import streamlit as st

from domain.config import config_toml
from domain.jobs import JobState
from domain.members import Role, require
from ui import components, exports, imports, live, session, tables
from workflow import backups, jobs
from workflow.descriptors import features_in_words
from workflow.status import image_count, quarantined

project, member = session.project(), session.member()
require(member, Role.LEAD, to="look after the project")
NO_BACKUP = (
    "Make the first one now: it holds all answers, questions, settings and the model in use."
)
NEW_IMAGES = (
    'New files in that folder join with "python cli.py ingest"; the app can stay open. Images are '
    "never changed."
)


def back_up() -> None:
    components.attempt(backups.ask_backup, project, member, done="A backup is being made.")


def check() -> None:
    components.attempt(backups.ask_check, project, member, done="The project is being checked.")


def draw_backups() -> None:
    st.header("Backups", anchor=False)
    found = backups.list_backups(project)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Back up now", type="primary", key="project.backup", on_click=back_up)
        st.caption(components.as_text(backups.schedule_in_words(project)), width="content")
    last = jobs.newest(project, jobs.BACKUP)
    if last is not None and last.state is JobState.FAILED and last.error:
        st.error(f"The last one failed: {components.as_text(last.error)}", icon=":material/error:")
    if not found:
        components.empty_state("No backup yet", NO_BACKUP)
        return
    components.table(tables.backup_rows(found), key="project.backups")
    st.caption(
        components.as_text(
            f"In {backups.folder_of(project)}. Bring one back with "
            '"python cli.py restore FILE", after stopping the app.'
        )
    )


def draw_check() -> None:
    st.header("Is everything whole?", anchor=False)
    newest = jobs.newest(project, jobs.VERIFY)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Check now", key="project.check", on_click=check)
        st.caption(
            "Databases, labels worked out anew, files of the model and the images; a sample of "
            "these is read whole.",
            width="content",
        )
    if newest is None or not newest.state.ended:
        return
    when = f"{(newest.ended_at or newest.created_at)[:16].replace('T', ' ')} UTC"
    if newest.state is JobState.DONE:
        st.success(f"All was well on {when}.", icon=":material/check:")
    elif newest.error:
        st.error(f"On {when}: {components.as_text(newest.error)}", icon=":material/error:")


def draw_exchange() -> None:
    st.header("Answers in and out", anchor=False)
    exports.export_menu(project)
    imports.import_form(project, member)


def draw_images() -> None:
    st.header("Images", anchor=False)
    count = components.counted(image_count(project), "image")
    words = f"{count} of {project.images_root}. {NEW_IMAGES}"
    st.caption(components.as_text(words), width=components.READABLE_PX)


def draw_files() -> None:
    st.header("Files put aside", anchor=False)
    files = quarantined(project)
    if not files:
        st.caption("Every file in the images folder that looks like an image could be read.")
        return
    rows = [{"File": each.path, "Reason": each.reason} for each in files]
    components.table(rows, key="project.quarantine")


def draw_settings() -> None:
    st.header("Settings", anchor=False)
    st.caption(
        components.as_text(
            f"As they are in use. To change one, write it into {project.folder / 'project.toml'}."
        )
    )
    st.caption(components.as_text(features_in_words(project)), width=components.READABLE_PX)
    with st.expander("All settings", key="project.settings"):
        st.code(config_toml(project.config), language="toml")


components.page_header("Project", "Keep what people did, move it, and see that it is whole.")
if not jobs.worker_alive(project):
    components.worker_missing()
live.follow_jobs(project, cancellable=True)
draw_backups()
draw_check()
draw_exchange()
draw_images()
draw_files()
draw_settings()
