"""Entry script: the pages, who may open them, and the frame around them."""

from pathlib import Path

import streamlit as st

from domain.errors import AccessError, AnnealError, ProjectError
from domain.members import Member, Role
from labeling_store.failures import in_words
from ui import components, session, sign_in
from ui.components import as_text, show_error
from ui.door import door
from ui.sitemap import HOME, PAGES
from workflow import members

# An own file, and pages without icons: the tab icon of a named one would load from elsewhere.
FAVICON = Path(__file__).with_name("favicon.svg")


def present() -> Member | None:
    """Who is in front of the page; None where there is no project, which the page then says.

    Raises:
        AccessError: they left the project, must sign in first, or sit at another machine where
            nobody signs in.
        AnnealError: who they are cannot be told.
    """
    sign_in.check_near(st.context.ip_address)
    try:
        member = session.member()
        session.keep_in_address(member)
    except ProjectError:
        return None
    return member


def show_unreadable(error: Exception) -> None:
    """A database that cannot be read, with the way out; a bug keeps its traceback."""
    said = in_words(error)
    if said is None:
        raise error
    show_error(said)


def refuse(error: AccessError) -> None:
    """In place of any page, for who may not come in or must say who they are."""
    if sign_in.is_set_up():
        door.draw(error)
    else:
        show_error(error)
        if isinstance(error, session.HasLeft):
            ask_who()


def ask_who() -> None:
    """Who left goes on as nobody else without saying so."""
    for each in members.list_members(session.project()):
        key = f"who.{each.member_id}"
        words = f"I am {as_text(each.name)}"
        st.button(words, key=key, on_click=session.act_as, args=(each.member_id,))


def run_page(name: str, member: Member | None) -> None:
    """Draw a page for those who may see it."""
    title, needed = PAGES[name]
    if member is None or member.role.includes(needed):
        pages[name].run()
    elif name == HOME:
        st.switch_page(pages["annotate"])
    else:
        components.refusal(
            title,
            AccessError(
                f"{title} is for leads; you are here as {member.name}, {member.role.value}.",
                "Annotate and My answers are yours. An owner can give you another role on People.",
            ),
        )


def menu_title(name: str, member: Member | None) -> str:
    """What the menu says, which reads Markdown."""
    title = PAGES[name][0]
    return f"{title}: {as_text(member.name)}" if name == "you" and member is not None else title


# First of all: content that is there before the page is wide would move.
st.set_page_config(page_title="Anneal", page_icon=str(FAVICON), layout="wide")
try:
    member = present()
except AccessError as error:
    refuse(error)
    st.stop()
except AnnealError as error:  # nobody is let in whose role cannot be told
    show_error(error)
    st.stop()
except Exception as error:
    show_unreadable(error)
    st.stop()
role = Role.OWNER if member is None else member.role
pages = {
    name: st.Page(
        f"views/{name}.py",
        title=menu_title(name, member),
        default=name == HOME,
        visibility="visible" if role.includes(needed) else "hidden",
    )
    for name, (_, needed) in PAGES.items()
}
page = st.navigation(list(pages.values()), position="top")
opened = next(name for name, each in pages.items() if each == page)
session.arrive(opened)
st.set_page_config(page_title=f"{PAGES[opened][0]} · Anneal")
try:
    run_page(opened, member)
except AnnealError as error:
    show_error(error)
except Exception as error:
    show_unreadable(error)
