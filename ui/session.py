"""Who looks at which project: the only place that touches Streamlit's caches and session state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import streamlit as st

from domain.answers import KnownRelation
from domain.errors import AccessError
from domain.members import Member, Role
from domain.sign_ins import Identity
from ui import sign_in
from ui.sign_in import Stranger
from ui.tokens import Signer
from workflow import explore, members, pages, sign_ins
from workflow.explore import ArchiveMap
from workflow.project import (
    CONFIG_NAME,
    Project,
    local_owner,
    open_project,
    project_folder,
    read_ahead,
)

T = TypeVar("T")
IN_ADDRESS = "member"  # where nobody signs in
_ACTING = "session.acting"
_PAGE_OF = "session.page."
_OPENED, _ARRIVED = "session.opened", "session.arrived"


class HasLeft(AccessError):
    """Who the person said they are is no member any more."""


@dataclass(frozen=True)
class _Opened:
    project: Project
    signer: Signer


def project() -> Project:
    """The project of this process; opened once, shared by all threads.

    Raises:
        AnnealError: it cannot be opened; the next call tries again.
    """
    return _current().project


def signer() -> Signer:
    """Signs tokens and cookies with the project's secret."""
    return _current().signer


def member() -> Member:
    """The person in front of the page, as the store knows them now.

    Where sign-in is set up, it is whom the provider's word is bound to. Without it is who they say
    they are; the local owner as long as they say nothing.

    Raises:
        HasLeft: who they said they are is gone; nobody answers as the owner unasked.
        NotSignedIn, Stranger: they must sign in, or did and are no member.
    """
    if sign_in.is_set_up():
        return member_known_as(sign_in.identity())
    found = _chosen(st.session_state.get(_ACTING, member_id_in(st.query_params)))
    if found is None:
        raise HasLeft(
            "Who you were here is no member of this project any more.", "Say who you are now."
        )
    return found


def member_known_as(identity: Identity) -> Member:
    """Whom somebody is who signed in.

    Raises:
        Stranger: no member.
    """
    found = sign_ins.member_signed_in(project(), identity)
    if found is None:
        raise Stranger(identity)
    return found


def member_at(address: Mapping[str, str]) -> Member | None:
    """Who opens a page at an address, by its parameters, where nobody signs in; None: they left."""
    return _chosen(member_id_in(address))


def member_id_in(address: Mapping[str, str]) -> int | None:
    """Who an address says is in front of the page; None where it says nothing readable."""
    text = address.get(IN_ADDRESS, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def act_as(member_id: int) -> None:
    """Be somebody from now on, in this tab."""
    st.session_state[_ACTING] = member_id


def keep_in_address(member: Member) -> None:
    """Say in the address who is in front of the page, so that a reload changes nothing of it.

    Who signed in is known by that, whatever the address says.
    """
    if sign_in.is_set_up():
        st.query_params.pop(IN_ADDRESS, None)
        return
    st.session_state[_ACTING] = member.member_id
    if member == local_owner(project()):
        st.query_params.pop(IN_ADDRESS, None)
    elif st.query_params.get(IN_ADDRESS) != str(member.member_id):
        st.query_params[IN_ADDRESS] = str(member.member_id)


def may(needed: Role) -> bool:
    """Whether the person in front of the page may do what takes that role, as of now."""
    return member().role.includes(needed)


def find_member(member_id: int) -> Member | None:
    """The member with that id as the store knows it now; None for someone who left."""
    return members.get_member(project(), member_id)


def known_by_pair() -> tuple[KnownRelation, ...]:
    """What training knows now, in order; worked out once until the next answer."""
    opened = project()
    state = (opened.config.propagation.value, pages.last_event_id(opened))
    return _known_by_pair(opened.folder, state, opened)


def archive_map(run: str) -> ArchiveMap:
    """Where the images lie under a run; worked out once.

    Raises:
        ModelError: its embeddings are gone or damaged.
    """
    opened = project()
    return _archive_map(opened.folder, run, opened)


def page_number(key: str) -> int:
    """Which page of a list is open; the first is 0."""
    number: int = st.session_state.get(_PAGE_OF + key, 0)
    return number


def turn_page(key: str, by: int) -> None:
    """Open a page before or after the one that is open."""
    st.session_state[_PAGE_OF + key] = max(0, page_number(key) + by)


def arrive(page: str) -> None:
    """Note which page is drawn: on arrival its address says what its fields start with."""
    if st.session_state.get(_OPENED) != page:
        st.session_state[_OPENED], st.session_state[_ARRIVED] = page, True


def follow_address(name: str, key: str, meant: Mapping[str, object]) -> None:
    """Let a field that is drawn next start with what the address says; later choices stand.

    Args:
        name: of the parameter in the address.
        key: the field's.
        meant: what the parameter's words mean; others change nothing.
    """
    if st.session_state.get(_ARRIVED):
        st.session_state[_ARRIVED] = False
        said = st.query_params.get(name, "")
        if said in meant:
            st.session_state[key] = meant[said]


def token() -> str:
    """A short-lived proof of who looks at the page, for a component's data."""
    return signer().token(member().member_id)


def scope(who: Member) -> str:
    """The prefix of what a person's browser keeps for this project."""
    return f"anneal.{signer().fingerprint()}.{who.member_id}"


def component_value(key: str, name: str) -> Any:
    """What a component set under a name; None if it set nothing."""
    return getattr(st.session_state.get(key), name, None)


def remembered(key: str, state: object, make: Callable[[], T]) -> T:
    """What `make` gave for this state, in this browser tab; made anew when the state differs."""
    kept: tuple[object, T] | None = st.session_state.get(key)
    if kept is None or kept[0] != state:
        kept = (state, make())
        st.session_state[key] = kept
    return kept[1]


def note(key: str, value: object) -> None:
    """Keep something in this browser tab."""
    st.session_state[key] = value


def noted(key: str, default: T) -> T:
    """What was kept in this browser tab; else the default."""
    found: T = st.session_state.get(key, default)
    return found


def counter(key: str) -> int:
    """How often `count_up` was called for a key in this browser tab."""
    return int(st.session_state.get(key, 0))


def count_up(key: str) -> None:
    """Raise a counter: a widget whose key has its number is drawn anew, without its value."""
    st.session_state[key] = counter(key) + 1


def _chosen(member_id: int | None) -> Member | None:
    return local_owner(project()) if member_id is None else find_member(member_id)


def field(key: str) -> Any:
    """What stands in a field, for a callback."""
    return st.session_state[key]


def _current() -> _Opened:
    folder = project_folder()
    settings = folder / CONFIG_NAME
    changed_ns = settings.stat().st_mtime_ns if settings.exists() else 0
    return _open(folder, changed_ns)


@st.cache_resource(max_entries=1, show_spinner=False)
def _known_by_pair(
    folder: Path, state: tuple[str, int], _project: Project
) -> tuple[KnownRelation, ...]:
    return pages.known_by_pair(_project)


@st.cache_resource(max_entries=2, show_spinner=False)
def _archive_map(folder: Path, run: str, _project: Project) -> ArchiveMap:
    return explore.archive_map(_project, run)


@st.cache_resource(max_entries=2, show_spinner=False)
def _open(folder: Path, changed_ns: int) -> _Opened:
    """An open project; opened again after its settings were changed."""
    opened = open_project(folder)
    read_ahead(opened)
    return _Opened(opened, Signer(opened.secret()))
