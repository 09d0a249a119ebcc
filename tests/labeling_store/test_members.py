from dataclasses import replace

import pytest

from domain.errors import AccessError, InputError
from domain.members import Member, Role
from domain.pairs import Pair
from domain.rounds import Proposal
from labeling_store import answers, members, queue, tokens
from labeling_store.repeats import repeats_due
from tests.labeling_store.building import NOW, answer, ask, claim

LATER = "2026-01-31T12:01:00.000+00:00"


def change(store, action, *args, **more):
    with store.transaction() as db:
        return action(db, *args, **more)


def add_token(store, member, number=1):
    return change(
        store,
        tokens.add_token,
        member,
        name=f"{member.name}'s laptop",
        sha256=f"{number:064x}",
        role=Role.ANNOTATOR,
        created_at=NOW,
        expires_at=LATER,
    )


def test_members_are_listed_in_the_order_in_which_they_came(store, owner, bob):
    eve = change(store, members.add_member, "  Ève ", Role.LEAD)
    assert members.list_members(store.reader()) == [owner, bob, eve]
    assert (eve.name, eve.role) == ("Ève", Role.LEAD)


@pytest.mark.parametrize(
    "name",
    ["", "  ", "x" * 81, "a\nb", "a\r\nSet-Cookie: x=1", "a\x00b", "a;b", "\u202egpj", "a\u2028b"],
    ids=ascii,
)
def test_names_that_are_no_names_are_refused(store, name):
    with pytest.raises(InputError):
        change(store, members.add_member, name, Role.ANNOTATOR)


@pytest.mark.parametrize("name", ["Bob", " bob", "BOB", "Former Member 7"])
def test_names_that_would_be_mistaken_for_others_are_refused(store, bob, name):
    with pytest.raises(InputError):
        change(store, members.add_member, name, Role.ANNOTATOR)
    assert members.list_members(store.reader()) == [bob]


def test_a_member_is_found_in_whatever_case_unless_somebody_has_just_that_name(store, bob):
    assert members.find_member(store.reader(), "BOB") == bob
    with store.transaction() as db:  # as imports of past versions left them
        db.execute("INSERT INTO member (name, role) VALUES ('BOB', 'annotator')")
    assert members.find_member(store.reader(), "BOB").name == "BOB"
    assert members.find_member(store.reader(), "bob") == bob
    change(store, members.leave, bob, now=NOW)
    assert members.find_member(store.reader(), "bob").name == "BOB"


@pytest.mark.parametrize("name", ["O'Brien, Ann <img src=x>", "名前 🌋", "می‌خواهم", "=1+1", "-"])
def test_names_are_text(store, name):
    assert change(store, members.add_member, name, Role.ANNOTATOR).name == name


def test_the_answers_of_who_leaves_stay_without_the_name(store, ann, bob):
    answer(store, ann, 1, 2, key="first")
    answer(store, bob, 1, 3, key="second")
    former = change(store, members.leave, ann, now=NOW)
    names = [event.member for event in answers.events(store.reader())]
    assert names == [former.name, "bob"] == [f"former member {ann.member_id}", "bob"]
    assert former.left_at == NOW
    assert members.list_members(store.reader()) == [bob]
    assert members.list_members(store.reader(), former=True) == [former]
    assert members.get_member(store.reader(), ann.member_id) is None
    assert "'ann'" not in "\n".join(store.reader().iterdump())


def test_the_name_of_who_left_is_free_again_for_somebody_else(store, ann, bob):
    change(store, members.leave, ann, now=NOW)
    other = change(store, members.add_member, "ann", Role.ANNOTATOR)
    assert other.member_id not in (ann.member_id, bob.member_id)


def test_a_former_member_from_another_project_is_not_mistaken_for_ours(store, ann):
    theirs = change(store, members.ensure_member, f"former member {ann.member_id}", Role.ANNOTATOR)
    ours = change(store, members.leave, ann, now=NOW)
    assert ours.name == f"former member {ann.member_id} (2)" != theirs.name


def test_questions_of_who_leaves_go_to_others(store, ann, bob):
    asked = ask(store, 3)
    assert len(claim(store, ann, asked)) == 3
    assert claim(store, bob, asked) == []
    change(store, members.leave, ann, now=NOW)
    assert len(claim(store, bob, asked)) == 3


def test_questions_for_who_leaves_alone_are_withdrawn_and_no_more_are_due(store, ann, bob):
    for who in (ann, bob):
        answer(store, who, 1, 2, key=who.name)
    asked = ask(store, 1)
    alone = Proposal(Pair(1, 3), 0.0, "", asked_of=ann.member_id)
    change(store, queue.add_proposals, asked, [alone])
    assert set(repeats_due(store.reader(), 1.0)) == {ann.member_id, bob.member_id}
    change(store, members.leave, ann, now=NOW)
    assert set(repeats_due(store.reader(), 1.0)) == {bob.member_id}
    states = store.reader().execute("SELECT state FROM proposal WHERE asked_of IS NOT NULL")
    assert [state for (state,) in states] == ["withdrawn"]


def test_tokens_of_who_leaves_are_revoked_and_lose_their_names(store, ann, bob):
    add_token(store, ann, 1)
    kept = add_token(store, bob, 2)
    change(store, members.leave, ann, now=NOW)
    first, second = tokens.list_tokens(store.reader())
    assert (first.name, first.revoked_at) == ("token 1", NOW)
    assert not first.is_valid(NOW)
    assert second == kept
    assert second.is_valid(NOW)


def test_a_token_is_found_by_its_hash_only(store, ann):
    made = add_token(store, ann, 5)
    assert tokens.find_token(store.reader(), f"{5:064x}") == made
    assert tokens.find_token(store.reader(), f"{6:064x}") is None


def test_a_token_ends_on_its_day_and_a_revoked_one_keeps_its_day(store, ann):
    made = add_token(store, ann)
    assert made.is_valid(NOW)
    assert not made.is_valid(LATER)
    gone = replace(made.member, left_at=NOW)
    assert not replace(made, member=gone).is_valid(NOW)
    change(store, tokens.revoke_token, made.token_id, now=NOW)
    change(store, tokens.revoke_token, made.token_id, now=LATER)
    (ended,) = tokens.list_tokens(store.reader())
    assert ended.revoked_at == NOW


def test_the_last_owner_neither_leaves_nor_loses_the_role(store, owner, bob):
    for action, more in [(members.leave, {"now": NOW}), (members.set_role, {"role": Role.LEAD})]:
        with pytest.raises(InputError, match="last owner"):
            change(store, action, owner, **more)
    assert change(store, members.set_role, bob, Role.OWNER).role is Role.OWNER
    assert change(store, members.set_role, owner, Role.LEAD).role is Role.LEAD
    with pytest.raises(InputError, match="last owner"):
        change(store, members.leave, Member(bob.member_id, "bob", Role.OWNER), now=NOW)


def test_an_actor_is_judged_by_the_role_of_now_and_of_the_request(store, owner, bob):
    """Neither a page that was loaded before nor a token keeps a role alive."""
    lead = change(store, members.set_role, bob, Role.LEAD)
    through_token = Member(lead.member_id, lead.name, Role.ANNOTATOR)
    check = members.check_actor
    assert change(store, check, lead, Role.LEAD, to="do it") is Role.LEAD
    with pytest.raises(AccessError, match='Only a lead or owner may do it; "bob"'):
        change(store, check, through_token, Role.LEAD, to="do it")
    change(store, members.set_role, lead, Role.ANNOTATOR)
    with pytest.raises(AccessError):
        change(store, check, lead, Role.LEAD, to="do it")
    change(store, members.leave, lead, now=NOW)
    with pytest.raises(AccessError, match="no member"):
        change(store, check, lead, Role.ANNOTATOR, to="do it")


@pytest.mark.parametrize("of", list(Role))
def test_each_role_includes_those_before_it(of):
    order = [Role.ANNOTATOR, Role.LEAD, Role.OWNER]
    assert [of.includes(other) for other in order] == [
        place <= order.index(of) for place in range(3)
    ]
