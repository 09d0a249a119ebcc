"""Searching by what a model sees: filters, copies, and answers given to results."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from domain.answers import Kind, Receipt, ReceiptStatus
from domain.errors import InputError
from domain.images import Part
from domain.members import Member, Role
from labeling_store import answers, images, members
from tests.pictures import write_archive
from tests.ui import stage
from workflow import labels, marks, search
from workflow.creation import create_project
from workflow.project import Project, local_owner, open_project
from workflow.run_files import read_embeddings
from workflow.search import Only


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 images and two exact copies of one, with a model."""
    root = tmp_path_factory.mktemp("search")
    folder = write_archive(root / "images", each=10)
    original = sorted(folder.rglob("*.png"))[0]
    for name in ("copy1.png", "copy2.png"):
        shutil.copy(original, original.with_name(name))
    made = create_project(root / "project", images=folder).project
    stage.add_model(made, 0, metrics={"threshold": 0.3})
    made.close()
    return root / "project"


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(template, tmp_path / "project")
    opened = open_project(tmp_path / "project")
    yield opened
    opened.close()


def by_hand(project: Project, image_id: int) -> list[int]:
    """All images by falling cosine to one, each group of copies once, without the query's."""
    embeddings = read_embeddings(project.runs / "r000")
    records = {each.image_id: each for each in images.list_images(project.store.reader())}
    vectors = np.asarray(embeddings.vectors, dtype=np.float64)
    cosine = vectors @ vectors[embeddings.rows[image_id]]
    seen, found = {records[image_id].duplicate_group}, []
    for row in np.argsort(-cosine, kind="stable"):
        record = records[int(embeddings.image_ids[row])]
        if record.duplicate_group not in seen:
            seen.add(record.duplicate_group)
            found.append(record.image_id)
    return found


def copies(project: Project) -> list[int]:
    everything = images.list_images(project.store.reader())
    groups = [each.duplicate_group for each in everything]
    return [each.image_id for each in everything if groups.count(each.duplicate_group) > 1]


@pytest.mark.parametrize("k", [1, 10, 36, 100])
def test_results_are_ranked_and_copies_stand_for_one_another(project: Project, k: int) -> None:
    query = stage.training_images(project)[-1].image_id
    hits = search.similar_images(project, query, k=k)
    assert [hit.image_id for hit in hits] == by_hand(project, query)[:k]
    for hit in hits:
        assert hit.copies == (2 if hit.image_id in copies(project) else 0)


def test_the_query_does_not_find_its_copies(project: Project) -> None:
    first, *others = copies(project)
    assert len(others) == 2
    found = {hit.image_id for hit in search.similar_images(project, first, k=100)}
    assert not found & {first, *others}


def test_a_filter_leaves_the_order_as_it_is(project: Project) -> None:
    query = stage.training_images(project)[-1].image_id
    everything = search.similar_images(project, query, k=100)
    only = Only(Part.TRAIN, "DOTS")
    some = search.similar_images(project, query, k=100, only=only)
    assert some == [hit for hit in everything if hit.part is Part.TRAIN and "dots" in hit.path]
    assert some
    assert search.similar_images(project, query, only=Only(text="no such path")) == []


def test_an_image_that_is_not_there_cannot_be_searched_for(project: Project) -> None:
    with pytest.raises(InputError, match="4000"):
        search.similar_images(project, 4000)


def test_a_file_of_the_archive_is_recognised_by_its_content(project: Project) -> None:
    image = stage.training_images(project)[0]
    same = search.same_content(project, image.sha256)
    assert same is not None
    assert same.sha256 == image.sha256
    assert search.same_content(project, "0" * 64) is None


# --- marks ---------------------------------------------------------------------------------


def training_pair(project: Project) -> tuple[int, int]:
    first, second, *_ = stage.training_images(project)
    return first.image_id, second.image_id


def mark_of(project: Project, query: int, image: int, member: Member | None = None) -> marks.Mark:
    return marks.marks(project, member or local_owner(project), query, [image])[image]


def events(project: Project) -> int:
    return len(list(answers.events(project.store.reader())))


@pytest.mark.parametrize("similar", [True, False])
def test_a_mark_is_an_answer_with_its_reason(project: Project, similar: bool) -> None:
    query, image = training_pair(project)
    marks.mark(project, local_owner(project), query, image, similar=similar, after=0)
    (event,) = answers.events(project.store.reader())
    assert event.similar is similar
    assert event.reason == marks.REASON
    assert event.model == "r000"
    assert set(event.pair) == {query, image}
    shown = mark_of(project, query, image)
    assert (shown.own, shown.known) == (similar, similar)


def test_the_same_click_counts_once_and_a_new_one_after_an_undo_counts_again(
    project: Project,
) -> None:
    query, image = training_pair(project)
    owner = local_owner(project)
    first = marks.mark(project, owner, query, image, similar=True, after=0)
    again = marks.mark(project, owner, image, query, similar=True, after=0)  # from the other side
    assert (first.status, again.status) == (ReceiptStatus.STORED, ReceiptStatus.REPEATED)
    assert events(project) == 1
    take_back(project, query, image)
    assert mark_of(project, query, image).own is None
    after = mark_of(project, query, image).after
    renewed = marks.mark(project, owner, query, image, similar=True, after=after)
    assert renewed.status is ReceiptStatus.STORED
    assert mark_of(project, query, image).own is True


def take_back(project: Project, query: int, image: int) -> Receipt | None:
    """In sight of what stands now."""
    after = mark_of(project, query, image).after
    return marks.unmark(project, local_owner(project), query, image, after=after)


def test_a_tab_that_is_out_of_date_is_told_and_changes_nothing(project: Project) -> None:
    query, image = training_pair(project)
    owner = local_owner(project)
    marks.mark(project, owner, query, image, similar=True, after=0)
    seen = mark_of(project, query, image).after
    take_back(project, query, image)
    with pytest.raises(InputError, match="changed meanwhile"):
        marks.mark(project, owner, query, image, similar=True, after=0)  # said before, and undone
    now = mark_of(project, query, image).after
    marks.mark(project, owner, query, image, similar=True, after=now)
    marks.mark(project, owner, query, image, similar=False, after=now + 1)
    for after in (seen, now + 1):  # the second as by a double click
        with pytest.raises(InputError, match="changed meanwhile"):
            marks.unmark(project, owner, query, image, after=after)
    assert mark_of(project, query, image).own is False


def test_taking_back_twice_takes_back_once(project: Project) -> None:
    query, image = training_pair(project)
    owner = local_owner(project)
    marks.mark(project, owner, query, image, similar=True, after=0)
    assert take_back(project, query, image) is not None
    assert take_back(project, query, image) is None
    assert events(project) == 2


def test_a_changed_mind_counts_and_undo_leads_back_to_what_was_said_before(
    project: Project,
) -> None:
    query, image = training_pair(project)
    owner = local_owner(project)
    marks.mark(project, owner, query, image, similar=True, after=0)
    after = mark_of(project, query, image).after
    marks.mark(project, owner, query, image, similar=False, after=after)
    assert mark_of(project, query, image).own is False
    take_back(project, query, image)
    assert mark_of(project, query, image).own is True


def test_a_mark_closes_the_question_about_the_pair(project: Project) -> None:
    (asked, *_) = stage.training_pairs(project, 1)
    stage.next_round(project, 2, [asked], model="r000")
    marks.mark(project, local_owner(project), asked.a, asked.b, similar=True, after=0)
    state = project.store.reader().execute(
        "SELECT state FROM proposal WHERE a = ? AND b = ? ORDER BY proposal_id DESC", asked
    )
    assert state.fetchone()["state"] != "open"


def test_what_others_answers_imply_is_shown_to_a_lead_but_not_to_an_annotator(
    project: Project,
) -> None:
    a, b, c = stage.one_kind(project, 3)
    stage.answer_pair(project, a, b, Kind.SIMILAR)
    stage.answer_pair(project, b, c, Kind.SIMILAR)
    annotator = somebody(project)
    assert mark_of(project, a, c).known is True
    assert mark_of(project, a, c, annotator) == marks.Mark()
    assert mark_of(project, a, b, annotator) == marks.Mark()
    marks.mark(project, annotator, a, b, similar=False, after=0)
    assert mark_of(project, a, b, annotator).own is False
    assert mark_of(project, a, b).own is True


def somebody(project: Project) -> Member:
    with project.store.transaction() as db:
        return members.ensure_member(db, "Ada", Role.ANNOTATOR)


def test_an_answer_of_the_annotate_page_shows_in_the_search(project: Project) -> None:
    a, b = stage.one_kind(project, 2)
    stage.answer_pair(project, a, b, Kind.DISSIMILAR)
    assert mark_of(project, b, a).own is False
    unsure = stage.one_kind(project, 3)[2]
    stage.answer_pair(project, a, unsure, Kind.UNSURE)
    shown = mark_of(project, a, unsure)
    assert shown.own is None
    assert shown.after > 0


def test_marks_on_images_kept_for_measuring_are_stored_but_not_learnt_from(
    project: Project,
) -> None:
    query = stage.training_images(project)[0].image_id
    kept = images.list_images(project.store.reader(), part=Part.TEST)[0].image_id
    other = stage.training_images(project)[1].image_id
    assert marks.is_learnt_from(project, query, [kept, other]) == {other}
    assert marks.is_learnt_from(project, kept, [query, other]) == set()
    marks.mark(project, local_owner(project), query, kept, similar=True, after=0)
    assert len(labels.pair_labels(project)) == 1


def test_an_unknown_image_cannot_be_marked(project: Project) -> None:
    with pytest.raises(InputError):
        marks.mark(project, local_owner(project), 1, 4000, similar=True, after=0)
    assert events(project) == 0
