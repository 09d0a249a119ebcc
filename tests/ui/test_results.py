"""Results of a search in words, and what an annotator does not see."""

from domain.images import Part
from ui import results
from workflow.marks import Mark
from workflow.search import Hit, Only

HITS = [Hit(7, 0.91, None, "a.png", Part.TRAIN, copies=2), Hit(8, 0.4, None, "b.png", Part.TEST)]


def test_who_judges_sees_no_similarities() -> None:
    shown = results.ranked(HITS, {}, numbers=False, markable=True)
    assert [each.title for each in shown] == ["", ""]
    assert "cosine" not in results.words(numbers=False, markable=True)


def test_tiles_say_what_is_known_beyond_one_s_own_answer() -> None:
    marks = {7: Mark(own=True, known=True, after=4), 8: Mark(own=True, known=False, after=5)}
    first, second = results.ranked(HITS, marks, numbers=True, markable=True)
    assert (first.title, first.own, first.after) == ("0.910", True, 4)
    assert first.note == "and 2 same pictures"
    assert second.note == "known as different"


def test_an_uploaded_picture_cannot_be_marked_and_the_page_says_why() -> None:
    shown = results.ranked(HITS, {}, numbers=True, markable=False)
    assert not any(each.markable for each in shown)
    assert "need an image of the archive" in results.words(numbers=True, markable=False)


def test_nothing_found_says_where_it_was_looked_for() -> None:
    assert "“abc”" in results.nothing_found(Only(text="abc"))
    assert "in that part" in results.nothing_found(Only(Part.TEST))
