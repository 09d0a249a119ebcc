"""The baseline of the annotate benchmark: the same work with Streamlit's own buttons and images."""

import streamlit as st

app = st.App("benchmarks/plain_page.py")
