"""Who may change who works in a project, and what tokens open."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.clock import later, utc_now
from domain.errors import AccessError, InputError
from domain.members import Member, Role
from labeling_store import members as store_members
from tests.pictures import write_archive
from workflow import members, tokens
from workflow.backup import make_backup
from workflow.creation import create_project
from workflow.project import Project, local_owner
from workflow.restore import restore


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    images = write_archive(tmp_path / "images", each=2, classes=False)
    made = create_project(tmp_path / "project", images=images).project
    yield made
    made.close()


@pytest.fixture
def owner(project: Project) -> Member:
    return local_owner(project)


@pytest.fixture
def lead(project: Project, owner: Member) -> Member:
    return members.add_member(project, owner, "lea", Role.LEAD)


@pytest.fixture
def ann(project: Project, owner: Member) -> Member:
    return members.add_member(project, owner, "ann", Role.ANNOTATOR)


def names(project: Project) -> dict[str, Role]:
    return {each.name: each.role for each in members.list_members(project)}


def test_a_lead_adds_and_removes_annotators_only(project: Project, lead: Member) -> None:
    bob = members.add_member(project, lead, "bob", Role.ANNOTATOR)
    with pytest.raises(AccessError):
        members.add_member(project, lead, "eve", Role.LEAD)
    with pytest.raises(AccessError):
        members.set_role(project, lead, bob.member_id, Role.LEAD)
    with pytest.raises(AccessError):
        members.remove_member(project, lead, local_owner(project).member_id)
    members.remove_member(project, lead, bob.member_id)
    assert names(project) == {"owner": Role.OWNER, "lea": Role.LEAD}


def test_an_annotator_changes_nobody_but_may_leave(
    project: Project, lead: Member, ann: Member
) -> None:
    with pytest.raises(AccessError):
        members.add_member(project, ann, "bob", Role.ANNOTATOR)
    with pytest.raises(AccessError):
        members.remove_member(project, ann, lead.member_id)
    with pytest.raises(AccessError):
        members.set_role(project, ann, ann.member_id, Role.OWNER)
    members.remove_member(project, ann, ann.member_id)
    assert "ann" not in names(project)
    with pytest.raises(InputError):
        members.remove_member(project, lead, ann.member_id)


def test_the_member_of_the_command_line_stays_owner(project: Project, owner: Member) -> None:
    other = members.add_member(project, owner, "eve", Role.OWNER)
    with pytest.raises(InputError):
        members.remove_member(project, other, owner.member_id)
    with pytest.raises(InputError):
        members.set_role(project, other, owner.member_id, Role.LEAD)
    assert names(project)["owner"] is Role.OWNER


def test_an_actor_who_left_meanwhile_may_do_nothing(project: Project, lead: Member) -> None:
    with project.store.transaction() as db:
        store_members.leave(db, lead, now=utc_now())
    with pytest.raises(AccessError):
        members.add_member(project, lead, "bob", Role.ANNOTATOR)


# --- tokens ---


def test_a_token_acts_as_its_member_with_at_most_its_role(
    project: Project, owner: Member, lead: Member
) -> None:
    made = tokens.create_token(project, owner, "sync", member=lead, role=Role.ANNOTATOR)
    acting = tokens.member_of_token(project, made.text)
    assert acting == Member(lead.member_id, "lea", Role.ANNOTATOR)
    whole = tokens.create_token(project, lead, "whole")
    assert tokens.member_of_token(project, whole.text) == lead
    members.set_role(project, owner, lead.member_id, Role.ANNOTATOR)
    assert tokens.member_of_token(project, whole.text) == acting
    members.set_role(project, owner, lead.member_id, Role.OWNER)
    raised = tokens.member_of_token(project, whole.text)
    assert raised is not None
    assert raised.role is Role.LEAD


def test_a_token_cannot_allow_more_than_its_member(
    project: Project, owner: Member, lead: Member
) -> None:
    with pytest.raises(AccessError):
        tokens.create_token(project, lead, "more", role=Role.OWNER)
    with pytest.raises(AccessError):
        tokens.create_token(project, owner, "more", member=lead, role=Role.OWNER)
    with pytest.raises(AccessError):
        tokens.create_token(project, lead, "of the owner", member=owner, role=Role.ANNOTATOR)
    assert tokens.list_tokens(project, owner) == []


@pytest.mark.parametrize("days", [0, -1, 366])
def test_tokens_last_a_year_at_most(project: Project, owner: Member, days: int) -> None:
    with pytest.raises(InputError):
        tokens.create_token(project, owner, "forever", days=days)


def test_a_revoked_token_opens_nothing_from_then_on(project: Project, lead: Member) -> None:
    made = tokens.create_token(project, lead, "sync")
    assert tokens.member_of_token(project, made.text) == lead
    tokens.revoke_token(project, lead, made.token.token_id)
    assert tokens.member_of_token(project, made.text) is None


def test_the_token_of_who_left_opens_nothing(project: Project, owner: Member, ann: Member) -> None:
    made = tokens.create_token(project, ann, "sync")
    members.remove_member(project, owner, ann.member_id)
    assert tokens.member_of_token(project, made.text) is None


def test_a_token_ends_on_its_day_whichever_way_the_clock_jumps(
    project: Project, owner: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tokens.create_token(project, owner, "week", days=7)
    for days, valid in [(6.99, True), (7.0, False), (-30.0, True)]:
        moment = later(made.token.created_at, days * tokens.DAY_S)
        monkeypatch.setattr(tokens, "utc_now", lambda moment=moment: moment)
        assert (tokens.member_of_token(project, made.text) is not None) is valid


@pytest.mark.parametrize("text", ["", "anneal_", "anneal_x", "' OR 1=1 --", "\x00", "x" * 100_000])
def test_what_is_no_token_opens_nothing(project: Project, owner: Member, text: str) -> None:
    tokens.create_token(project, owner, "real")
    assert tokens.member_of_token(project, text) is None


def test_own_tokens_are_revoked_by_everybody_and_those_of_others_by_owners(
    project: Project, owner: Member, lead: Member, ann: Member
) -> None:
    of_ann = tokens.create_token(project, ann, "a").token
    of_lead = tokens.create_token(project, lead, "b").token
    with pytest.raises(AccessError):
        tokens.revoke_token(project, lead, of_ann.token_id)
    assert tokens.list_tokens(project, lead) == [of_lead]
    assert tokens.list_tokens(project, owner) == [of_ann, of_lead]
    assert tokens.revoke_token(project, owner, of_ann.token_id).revoked_at is not None
    assert tokens.revoke_token(project, lead, of_lead.token_id).revoked_at is not None
    with pytest.raises(InputError):
        tokens.revoke_token(project, owner, 99)


def test_a_token_that_was_revoked_is_not_revived_by_an_old_backup(
    project: Project, owner: Member, tmp_path: Path
) -> None:
    made = tokens.create_token(project, owner, "sync")
    old = make_backup(project, tmp_path / "old.zip")
    tokens.revoke_token(project, owner, made.token.token_id)
    restored = restore(old.path, tmp_path / "restored")
    try:
        assert tokens.member_of_token(restored.project, made.text) is None
        assert any("(1 in the backup)" in warning for warning in restored.warnings)
    finally:
        restored.project.close()


def test_no_file_of_the_project_holds_the_text_of_a_token(project: Project, owner: Member) -> None:
    made = tokens.create_token(project, owner, "secret")
    assert tokens.member_of_token(project, made.text) is not None
    secret = made.text.removeprefix(tokens.PREFIX).encode()
    files = [path for path in project.folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if secret in path.read_bytes()]


def test_the_use_of_a_token_is_written_down_once_an_hour(
    project: Project, owner: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tokens.create_token(project, owner, "sync")
    start = made.token.created_at
    seen = []
    for minutes in (1, 30, 62):
        moment = later(start, 60.0 * minutes)
        monkeypatch.setattr(tokens, "utc_now", lambda moment=moment: moment)
        tokens.member_of_token(project, made.text)
        (found,) = tokens.list_tokens(project, owner)
        seen.append(found.last_used_at)
    assert seen == [later(start, 60), later(start, 60), later(start, 3720)]


def test_a_token_opens_a_project_that_cannot_be_written(project: Project, owner: Member) -> None:
    made = tokens.create_token(project, owner, "sync")
    project.store.reader().execute("PRAGMA query_only = ON")
    assert tokens.member_of_token(project, made.text) == owner
    (found,) = tokens.list_tokens(project, owner)
    assert found.last_used_at is None


def test_the_secret_that_signs_sessions_is_private(project: Project) -> None:
    project.secret()
    assert (project.folder / "secret").stat().st_mode & 0o777 == 0o600
