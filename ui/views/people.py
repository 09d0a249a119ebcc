"""People page: who answers, how much and how reliably; members and their roles."""

from functools import partial

import streamlit as st

from domain.members import LOCAL_OWNER, Member, Role
from ui import components, live, people_tables, session, sign_in
from workflow import jobs, members, people, sign_ins
from workflow.people import People, Person

FIELD_PX = 260
project, you = session.project(), session.member()


def compare() -> None:
    done = "The worker compares the answers."
    components.attempt(people.compare_answers, project, you, done=done)


def release(member_id: int | None) -> None:
    done = "Others get these pairs now."
    components.attempt(people.release_leases, project, you, member_id=member_id, done=done)


def add() -> None:
    name, role = session.field("people.name"), session.field("people.role")
    components.attempt(members.add_member, project, you, name, role, done=f"{name} is a member.")


def give_role(person: Person) -> None:
    role = session.field(f"people.role.{person.member.member_id}")
    done = f"{person.member.name} is {role.value} now."
    components.attempt(
        members.set_role, project, you, person.member.member_id, role, done=done, needs=Role.OWNER
    )


def let_sign_in(person: Person) -> None:
    email = session.field(f"people.email.{person.member.member_id}")
    name, key = person.member.name, person.member.member_id
    done = f"{email} can sign in as {name}." if email else f"Nobody can sign in as {name}."
    if email:
        components.attempt(sign_ins.let_sign_in, project, you, key, email, done=done)
    else:
        components.attempt(sign_ins.end_sign_in, project, you, key, done=done)


def remove(person: Person) -> None:
    done = "The name is gone everywhere; the answers stay."
    components.attempt(members.remove_member, project, you, person.member.member_id, done=done)


def draw_work(found: People) -> None:
    st.header("Answers", anchor=False)
    report = found.report
    if report is None:
        components.empty_state(
            "Not compared yet",
            "After each round, or when you ask, the worker counts what everybody answered and how "
            "far people agree.",
        )
    else:
        rows = people_tables.activity_rows(found)
        components.table(rows)
        st.caption(people_tables.as_of(found), width=components.READABLE_PX)
    st.button("Compare now", key="people.compare", on_click=compare)
    if not jobs.worker_alive(project):
        components.worker_missing()


def draw_agreement(found: People) -> None:
    st.header("Agreement", anchor=False)
    st.caption(people_tables.AGREEMENT_WORDS, width=components.READABLE_PX)
    report = found.report
    if report is None or not report.agreements:
        components.empty_state("Nothing in common yet", people_tables.NOTHING_COMMON)
        return
    st.markdown(components.as_text(people_tables.overall(report)), width=components.READABLE_PX)
    components.table(people_tables.agreement_rows(found))


def draw_members(found: People) -> None:
    st.header("Members", anchor=False)
    for person in found.persons:
        draw_member(person)
    if found.former:
        names = ", ".join(each.member.name for each in found.former)
        st.caption(components.as_text(f"Left, with their answers kept: {names}."))
    if sum(each.leases for each in found.persons):
        st.button("Release everybody's pairs", key="people.release", on_click=release, args=(None,))


def draw_member(person: Person) -> None:
    member = person.member
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{components.as_text(member.name)}**  \n{member.role.value}", width=FIELD_PX)
        if sign_in.is_set_up():
            st.caption(components.as_text(signs_in_as(member.member_id)), width=FIELD_PX)
        on_screen = f"{components.counted(person.leases, 'pair')} on their screen"
        st.caption(on_screen if person.leases else "nothing on their screen", width=FIELD_PX)
        if person.leases:
            key = f"people.release.{member.member_id}"
            st.button("Release", key=key, on_click=release, args=(member.member_id,))
        if member.name != LOCAL_OWNER:
            draw_controls(person)


def draw_controls(person: Person) -> None:
    member = person.member
    with st.popover("Change", key=f"people.change.{member.member_id}"):
        if you.role.includes(Role.OWNER):
            st.selectbox(
                "Role",
                list(Role),
                index=member.role.rank,
                format_func=lambda role: role.value,
                key=f"people.role.{member.member_id}",
                on_change=partial(give_role, person),
            )
        if sign_in.is_set_up() and may_change(member):
            st.text_input(
                "Signs in with the address",
                known[member.member_id].email if member.member_id in known else "",
                key=f"people.email.{member.member_id}",
                on_change=partial(let_sign_in, person),
                help=people_tables.SIGN_IN,
            )
        st.markdown("**Leaves the project**")
        st.caption(people_tables.LEAVING)
        sure = st.checkbox("I am sure", key=f"people.sure.{member.member_id}")
        st.button(
            "Take out and forget the name",
            key=f"people.remove.{member.member_id}",
            on_click=remove,
            args=(person,),
            disabled=not sure,
        )


def may_change(member: Member) -> bool:
    return member.role is Role.ANNOTATOR or you.role.includes(Role.OWNER)


def signs_in_as(member_id: int) -> str:
    if member_id not in known:
        return "cannot sign in"
    allowed = known[member_id]
    return f"signs in as {allowed}" if allowed.used else f"expected as {allowed}"


def draw_joining() -> None:
    roles = list(Role) if you.role.includes(Role.OWNER) else [Role.ANNOTATOR]
    with st.form("people.add", border=False, width=2 * FIELD_PX):
        st.text_input("New member", key="people.name", max_chars=80, width=FIELD_PX)
        st.selectbox(
            "Role", roles, format_func=lambda role: role.value, key="people.role", width=FIELD_PX
        )
        st.form_submit_button("Add", on_click=add)


components.page_header("People", "Who answers, how much, and how far the answers can be trusted.")
live.follow_jobs(project)
state, known = people.people(project), sign_ins.sign_ins_by_member(project)
draw_work(state)
draw_agreement(state)
draw_members(state)
draw_joining()
