"""Two images and two buttons, written as Streamlit's documentation shows it; or an empty page."""

import uuid

import streamlit as st

from domain.answers import Kind, NewAnswer
from domain.pairs import pair
from workflow.pictures import picture
from workflow.project import Project, local_owner, open_project, project_folder
from workflow.questions import Question, next_questions, submit_answers


@st.cache_resource
def opened() -> Project:
    return open_project(project_folder())


project = opened()
member = local_owner(project)


def answer(question: Question, kind: Kind) -> None:
    asked = pair(question.image_a, question.image_b)
    given = NewAnswer(str(uuid.uuid4()), kind, asked, proposal_id=question.proposal_id)
    submit_answers(project, member, [given])


if "empty" in st.query_params:
    st.write("Nothing here.")
    st.stop()
(question,) = next_questions(project, member, count=1)
left, right = st.columns(2)
left.image(str(picture(project, question.image_a, 512)))
right.image(str(picture(project, question.image_b, 512)))
left.button("Different", shortcut="F", on_click=answer, args=(question, Kind.DISSIMILAR))
right.button("Similar", shortcut="J", on_click=answer, args=(question, Kind.SIMILAR))
