"""Pair sets as files to download."""

import streamlit as st

from ui import components
from workflow.exchange import FORMATS, WHATS, card_download, export_download
from workflow.project import Project

_WHAT_WORDS = {
    "answers": "Answers: every event, those taken back too",
    "labels": "Labels: one row for each pair that people answered",
    "known": "Known pairs: labels, and what they imply, with the proof",
    "flags": "Flags: what was flagged, with its note, and how that ended",
}


def export_menu(project: Project) -> None:
    """A menu to choose what to download and as what; the file is made on the click."""
    with st.popover("Export", icon=":material/download:"):
        what = st.radio(
            "What", WHATS, format_func=lambda name: _WHAT_WORDS[name], key="export.what"
        )
        fmt = st.segmented_control(
            "Format", FORMATS, default="csv", required=True, key="export.fmt"
        )
        file_name = f"{what}.{fmt}"
        components.download(
            f"Download {file_name}",
            lambda: export_download(project, what=what, fmt=fmt).content,
            file_name,
        )
        components.download(
            "Download its data card",
            lambda: card_download(project, what=what, fmt=fmt).content,
            f"{file_name}.card.json",
        )
