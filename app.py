"""The web app; `script/run` serves it with `python -m uvicorn app:app`."""

import streamlit as st

from ui.elsewhere import elsewhere_routes
from ui.first_page import page_routes
from ui.routes import api_routes

app = st.App("ui/main.py", routes=[*page_routes(), *api_routes(), *elsewhere_routes()])
