"""Entry script: the pages and the frame around them."""

from pathlib import Path

import streamlit as st

from domain.errors import AnnealError
from ui.components import show_error

# An own file, and pages without icons: the tab icon of a named one would load from elsewhere.
FAVICON = Path(__file__).with_name("favicon.svg")
PAGES = [
    st.Page("views/overview.py", title="Overview", default=True),
    st.Page("views/annotate.py", title="Annotate"),
    st.Page("views/rounds.py", title="Rounds"),
    st.Page("views/curves.py", title="Curves"),
    st.Page("views/search.py", title="Search"),
    st.Page("views/explore.py", title="Explore"),
    st.Page("views/labels.py", title="Labels"),
    st.Page("views/conflicts.py", title="Conflicts"),
    st.Page("views/project.py", title="Project"),
]

page = st.navigation(PAGES, position="top")
st.set_page_config(page_title=f"{page.title} · Anneal", page_icon=str(FAVICON), layout="wide")
try:
    page.run()
except AnnealError as error:
    show_error(error)
