"""A file of answers, looked at before it is imported."""

import streamlit as st

from domain.members import Member
from labeling_store.exchange import Rehearsal
from ui import components, session
from workflow import exchange, pages
from workflow.project import Project

_UPLOAD, _COUNT, _REHEARSED = "project.upload", "project.uploads", "project.rehearsed"
_TYPES = [ending.removeprefix(".") for ending in exchange.ENDINGS]


def import_form(project: Project, member: Member) -> None:
    """A place for a file; what an import would do; and the button that does it."""
    number = session.counter(_COUNT)
    upload = st.file_uploader(
        "Import a file of answers",
        type=_TYPES,
        key=f"{_UPLOAD}.{number}",
        max_upload_size=exchange.UPLOAD_MB,
        help="CSV, JSON lines or Parquet with image_a, image_b and similar; a training file of "
        "dedupe; or a JSON export of Label Studio.",
    )
    if upload is None:
        return
    name, content = upload.name, upload.getvalue()
    state = (upload.file_id, pages.last_event_id(project))
    with components.errors_shown(), st.spinner("Looking at the file …"):
        found = session.remembered(
            _REHEARSED,
            state,
            lambda: exchange.rehearse_upload(project, member, name, content),
        )
        _draw(found)

        def store() -> None:
            done = f"{components.counted(found.report.stored, 'answer')} imported."
            components.attempt(exchange.import_upload, project, member, name, content, done=done)
            session.count_up(_COUNT)  # an empty place for the next file

        st.button(
            f"Import {components.counted(found.report.stored, 'answer')}",
            type="primary",
            key="project.import",
            on_click=store,
            disabled=bool(found.problems) or found.report.stored == 0,
        )


def _draw(found: Rehearsal) -> None:
    for sentence in exchange.in_words(found):
        st.markdown(components.as_text(sentence), width=components.READABLE_PX)
    for problem in found.problems:
        st.error(components.as_text(problem), icon=":material/error:")
    if found.problems:
        st.caption("Nothing is imported while a row is wrong: mend the file and choose it again.")
