"""The web app; `script/run` serves it with `python -m uvicorn app:app`."""

import streamlit as st
from starlette.middleware import Middleware

from ui.elsewhere import elsewhere_routes
from ui.first_page import page_routes
from ui.inner_routes import ClosedRoutes
from ui.routes import api_routes

app = st.App(
    "ui/main.py",
    routes=[*page_routes(), *api_routes(), *elsewhere_routes()],
    middleware=[Middleware(ClosedRoutes)],
)
