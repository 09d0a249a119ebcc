"""Annotate page: one pair after the other, answered by key."""

import streamlit as st

from ui.annotate.component import annotate_pairs

NEXT_PAGES = {"overview": "views/overview.py", "rounds": "views/rounds.py"}

wanted = annotate_pairs()
if wanted in NEXT_PAGES:
    st.switch_page(NEXT_PAGES[wanted])
