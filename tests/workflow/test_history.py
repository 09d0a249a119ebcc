"""Looking through one's answers, and answering anew, at any depth."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.answers import Kind, Propagation
from domain.errors import InputError
from domain.members import Member, Role
from domain.pairs import Pair
from labeling_store import answers, members, relations
from labeling_store.db import Store
from labeling_store.responses import answered_proposals
from labeling_store.rounds import current_round
from tests.labeling_store.building import NOW, catalogue, said
from tests.ui import stage
from workflow import history, labels
from workflow.project import Project, local_owner

NO, YES = Kind.DISSIMILAR, Kind.SIMILAR


@pytest.fixture
def project(project: Project) -> Project:
    stage.answer_questions(project, 5)
    return project


def own(project: Project, member: Member, kind: Kind | None = None) -> list[tuple[Kind, bool]]:
    found = history.answer_page(project, member, kind=kind, limit=50, skip=0)
    return [(each.event.kind, each.stands) for each in found]


def test_answering_anew_keeps_both_answers_and_changes_the_label(project: Project) -> None:
    owner = local_owner(project)
    oldest = history.answer_page(project, owner, kind=None, limit=50, skip=0)[-1].event
    assert oldest.kind in (YES, NO)
    other = NO if oldest.kind is YES else YES
    history.answer_anew(project, owner, oldest.key, other)
    assert own(project, owner)[0] == (other, True)
    assert own(project, owner)[-1] == (oldest.kind, True)
    label = {each.pair: each.similar for each in labels.pair_labels(project)}
    assert label[oldest.pair] is (other is YES)


def test_answering_anew_twice_counts_once(project: Project) -> None:
    owner = local_owner(project)
    key = history.answer_page(project, owner, kind=None, limit=1, skip=0)[0].event.key
    receipts = [history.answer_anew(project, owner, key, Kind.UNSURE) for _ in range(2)]
    assert receipts[0].event_id == receipts[1].event_id
    assert len(own(project, owner)) == 6


def label_of(project: Project, pair: Pair) -> bool | None:
    return {each.pair: each.similar for each in labels.pair_labels(project)}[pair]


@pytest.mark.parametrize("undone", [True, False])
def test_what_was_said_anew_once_can_be_said_again_from_the_same_line(
    project: Project, undone: bool
) -> None:
    """After taking it back, or after saying something else in between."""
    owner = local_owner(project)
    oldest = history.answer_page(project, owner, kind=None, limit=50, skip=0)[-1].event
    other = NO if oldest.kind is YES else YES
    receipt = history.answer_anew(project, owner, oldest.key, other)
    if undone:
        labels.take_back(project, owner, receipt.key)
    else:
        history.answer_anew(project, owner, receipt.key, oldest.kind)
    assert label_of(project, oldest.pair) is oldest.similar
    history.answer_anew(project, owner, oldest.key, other)
    assert label_of(project, oldest.pair) is (other is YES)


def test_a_lead_s_word_is_not_answered_anew(project: Project) -> None:
    owner = local_owner(project)
    pair = labels.pair_labels(project)[0].pair
    word = said("word", *pair, Kind.RESOLUTION, similar=True)
    answers.record_answers(project.store, owner, [word], now=NOW)
    with pytest.raises(InputError, match="no answer of yours"):
        history.answer_anew(project, owner, "word", NO)


def test_what_is_said_anew_is_the_answer_to_the_same_question(project: Project) -> None:
    owner = local_owner(project)
    event = history.answer_page(project, owner, kind=None, limit=1, skip=0)[0].event
    history.answer_anew(project, owner, event.key, Kind.UNSURE)
    db = project.store.reader()
    current = current_round(db)
    assert current is not None
    kinds = {each.pair: each.kind for each in answered_proposals(db, current.round_id)}
    assert kinds[event.pair] is Kind.UNSURE
    assert len(kinds) == 5


def test_nobody_changes_what_others_said_or_what_was_taken_back(
    project: Project, ann: Member
) -> None:
    owner = local_owner(project)
    key = history.answer_page(project, owner, kind=None, limit=1, skip=0)[0].event.key
    before = len(list(answers.events(project.store.reader())))
    with pytest.raises(InputError, match="no answer of yours"):
        history.answer_anew(project, ann, key, YES)
    with pytest.raises(InputError, match="no answer of yours"):
        history.answer_anew(project, owner, "never given", YES)
    labels.take_back(project, owner, key)
    with pytest.raises(InputError, match="no answer of yours"):
        history.answer_anew(project, owner, key, YES)
    assert len(list(answers.events(project.store.reader()))) == before + 1


def test_a_member_sees_only_their_own_answers(project: Project, ann: Member) -> None:
    assert own(project, ann) == []
    first, second = (each.image_id for each in stage.training_images(project)[:2])
    new = said("mine", first, second, Kind.UNSURE)
    answers.record_answers(project.store, ann, [new], now=NOW)
    assert own(project, ann) == [(Kind.UNSURE, True)]
    assert own(project, ann, YES) == []
    labels.take_back(project, ann, "mine")
    assert own(project, ann) == [(Kind.UNSURE, False)]


def test_paths_are_those_of_the_pairs_images(project: Project) -> None:
    pair = labels.pair_labels(project)[0].pair
    everything = labels.paths(project)
    assert history.paths_of(project, [pair]) == {each: everything[each] for each in pair}


IMAGES = 7
pairs_said = st.tuples(st.integers(1, IMAGES - 1), st.integers(1, IMAGES), st.booleans())
logs = st.lists(pairs_said.filter(lambda each: each[0] < each[1]), min_size=1, max_size=14)


@given(log=logs, gone=st.sets(st.integers(0, 13)))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_taking_back_at_any_depth_leaves_what_the_others_imply(
    tmp_path_factory: pytest.TempPathFactory, log: list[tuple[int, int, bool]], gone: set[int]
) -> None:
    """As if what was taken back had never been said: nothing more goes, nothing stays."""
    folder = tmp_path_factory.mktemp("undo")
    full, rest = (Store.open(folder / name, create=True) for name in ("a.db", "b.db"))
    new = [said(f"{number}", a, b, YES if like else NO) for number, (a, b, like) in enumerate(log)]
    for store, kept in ((full, new), (rest, [e for n, e in enumerate(new) if n not in gone])):
        catalogue(store, train=IMAGES)
        with store.transaction() as db:
            ann = members.ensure_member(db, "ann", Role.ANNOTATOR)
        answers.record_answers(store, ann, kept, now=NOW)
    voids = [
        said(f"v{n}", *new[n].pair, Kind.VOID, refers_to_key=new[n].key)
        for n in sorted(gone)
        if n < len(new)
    ]
    answers.record_answers(full, ann, voids, now=NOW)
    found, expected = (
        relations.known_relations(store, Propagation.CLOSURE) for store in (full, rest)
    )
    assert found == expected
    for store in (full, rest):
        store.close()


def test_pages_join_without_gap_or_double(project: Project) -> None:
    owner = local_owner(project)
    pages = [
        history.answer_page(project, owner, kind=None, limit=2, skip=skip) for skip in (0, 2, 4, 6)
    ]
    ids = [each.event.event_id for page in pages for each in page]
    assert len(ids) == 5
    assert all(newer > older for newer, older in pairwise(ids))
    assert [len(page) for page in pages] == [2, 2, 1, 0]


def test_a_pair_that_nobody_answered_has_no_history(project: Project) -> None:
    assert history.history_of(project, Pair(1000, 1001)) == []
