"""Which member somebody is who signed in, and who may decide that."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from domain.errors import AccessError, InputError
from domain.members import Member, Role
from domain.sign_ins import Identity, given_email
from workflow import members, sign_ins
from workflow.backup import make_backup
from workflow.project import Project, local_owner, open_project
from workflow.restore import restore

ISSUER = "https://accounts.example.org"
ANN = Identity(ISSUER, "a-1", "Ann@Example.org", verified=True)


@pytest.fixture
def owner(project: Project) -> Member:
    return local_owner(project)


@pytest.fixture
def ann(project: Project, owner: Member) -> Member:
    return members.add_member(project, owner, "ann", Role.ANNOTATOR)


def test_nobody_is_anybody_unless_somebody_said_so(project: Project, ann: Member) -> None:
    assert sign_ins.member_signed_in(project, ANN) is None
    assert sign_ins.member_signed_in(project, replace(ANN, subject="owner", email="owner")) is None


def test_who_proves_the_address_is_the_member_and_stays_it(
    project: Project, owner: Member, ann: Member
) -> None:
    sign_ins.let_sign_in(project, owner, ann.member_id, " ann@example.ORG ")
    assert sign_ins.member_signed_in(project, ANN) == ann
    moved = replace(ANN, email="ann@new.example", verified=False)
    assert sign_ins.member_signed_in(project, moved) == ann


def test_an_address_that_changed_hands_opens_nothing(
    project: Project, owner: Member, ann: Member
) -> None:
    sign_ins.let_sign_in(project, owner, ann.member_id, ANN.email)
    sign_ins.member_signed_in(project, ANN)
    for other in (replace(ANN, subject="a-2"), replace(ANN, issuer="https://evil.example")):
        assert sign_ins.member_signed_in(project, other) is None
    sign_ins.let_sign_in(project, owner, ann.member_id, ANN.email)  # said anew: the next one counts
    assert sign_ins.member_signed_in(project, replace(ANN, subject="a-2")) == ann


@pytest.mark.parametrize(
    "said",
    [
        replace(ANN, verified=False),
        replace(ANN, email=""),
        replace(ANN, email="ann@example.org.evil.example"),
        replace(ANN, email="no address"),
    ],
    ids=str,
)
def test_only_a_verified_address_counts(
    project: Project, owner: Member, ann: Member, said: Identity
) -> None:
    sign_ins.let_sign_in(project, owner, ann.member_id, ANN.email)
    assert sign_ins.member_signed_in(project, said) is None
    assert sign_ins.member_signed_in(project, ANN) == ann


def test_a_certain_person_needs_no_address(project: Project, owner: Member, ann: Member) -> None:
    bob = Identity(ISSUER, "b-1")
    sign_ins.let_sign_in(project, owner, ann.member_id, bob)
    assert sign_ins.member_signed_in(project, bob) == ann
    assert sign_ins.member_signed_in(project, replace(bob, subject="b-2")) is None


def test_a_person_and_an_address_belong_to_one_member(
    project: Project, owner: Member, ann: Member
) -> None:
    other = members.add_member(project, owner, "bob", Role.ANNOTATOR)
    for who in (ANN.email, Identity(ISSUER, "a-1")):
        sign_ins.let_sign_in(project, owner, ann.member_id, who)
        with pytest.raises(InputError, match="belongs to another member"):
            sign_ins.let_sign_in(project, owner, other.member_id, who)
    assert list(sign_ins.sign_ins_by_member(project)) == [ann.member_id]


def test_whose_sign_in_ends_and_who_leaves_is_a_stranger(
    project: Project, owner: Member, ann: Member
) -> None:
    for end in (sign_ins.end_sign_in, members.remove_member):
        sign_ins.let_sign_in(project, owner, ann.member_id, ANN.email)
        assert sign_ins.member_signed_in(project, ANN) == ann
        end(project, owner, ann.member_id)
        assert sign_ins.member_signed_in(project, ANN) is None
        assert sign_ins.sign_ins_by_member(project) == {}


@pytest.mark.parametrize(
    ("actor", "target", "allowed"),
    [
        (Role.ANNOTATOR, Role.ANNOTATOR, False),
        (Role.LEAD, Role.ANNOTATOR, True),
        (Role.LEAD, Role.LEAD, False),
        (Role.LEAD, Role.OWNER, False),
        (Role.OWNER, Role.OWNER, True),
    ],
)
def test_nobody_makes_themselves_somebody_who_may_do_more(
    project: Project, owner: Member, actor: Role, target: Role, allowed: bool
) -> None:
    acting = members.add_member(project, owner, "acting", actor)
    other = members.add_member(project, owner, "other", target)
    actions = (
        lambda: sign_ins.let_sign_in(project, acting, other.member_id, "a@b.org"),
        lambda: sign_ins.end_sign_in(project, acting, other.member_id),
    )
    for action in actions:
        if allowed:
            action()
        else:
            with pytest.raises(AccessError):
                action()
    assert sign_ins.sign_ins_by_member(project) == {}


def test_of_two_people_who_prove_an_address_at_once_one_is_the_member(
    project: Project, owner: Member, ann: Member
) -> None:
    sign_ins.let_sign_in(project, owner, ann.member_id, ANN.email)
    people = [replace(ANN, subject=f"a-{number}") for number in range(8)]

    def come(identity: Identity) -> Member | None:
        opened = open_project(project.folder)
        try:
            return sign_ins.member_signed_in(opened, identity)
        finally:
            opened.close()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(come, people))
    assert sorted(each is not None for each in found) == [False] * 7 + [True]


@pytest.mark.parametrize(
    "text",
    [
        *("", "ann", "@b.org", "ann@", "a b@c.org", "Ann <a@b.org>", "a@b.org, c@d.org"),
        *("a\u2060@b.org", "x" * 250 + "@b.org"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        given_email(text)


def test_a_restore_says_that_people_can_sign_in_as_they_could(
    project: Project, owner: Member, ann: Member, tmp_path: Path
) -> None:
    sign_ins.let_sign_in(project, owner, ann.member_id, ANN.email)
    make_backup(project, tmp_path / "kept.zip")
    restored = restore(tmp_path / "kept.zip", tmp_path / "again")
    assert sign_ins.member_signed_in(restored.project, ANN) == ann
    assert any("1 of the members can sign in" in each for each in restored.warnings)
    restored.project.close()


def test_strangers_are_told_the_names_of_owners_only(project: Project, owner: Member) -> None:
    assert sign_ins.whom_to_ask(project) == []
    for name, role in (("olga", Role.OWNER), ("lea", Role.LEAD), ("ann", Role.ANNOTATOR)):
        members.add_member(project, owner, name, role)
    assert sign_ins.whom_to_ask(project) == ["olga"]
