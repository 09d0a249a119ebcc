"""Results of a search as the page shows them: what is known of each, in words."""

from collections.abc import Mapping, Sequence

from domain.images import Part
from ui.components import counted
from ui.gallery.mount import Result
from workflow import marks
from workflow.marks import Mark
from workflow.project import Project
from workflow.search import Hit, Only

PARTS: Mapping[str, Part | None] = {
    "All images": None,
    "Images to learn from": Part.TRAIN,
    "Queries kept for measuring": Part.VALIDATION,
    "Gallery kept for measuring": Part.TEST,
}
KNOWN = {True: "known as similar", False: "known as different"}


def ranked(
    hits: Sequence[Hit], marks: Mapping[int, Mark], *, numbers: bool, markable: bool
) -> list[Result]:
    """A tile for each hit.

    Args:
        hits: the best first.
        marks: what is known of some of them.
        numbers: whether to show similarities; who is to judge pairs does it without.
        markable: whether the query is an image of the archive, about which answers can be stored.
    """
    return [
        Result(
            id=hit.image_id,
            caption=hit.path,
            title=f"{hit.similarity:.3f}" if numbers else "",
            note=_note(hit, marks.get(hit.image_id, Mark())),
            own=marks.get(hit.image_id, Mark()).own,
            after=marks.get(hit.image_id, Mark()).after,
            markable=markable,
        )
        for hit in hits
    ]


def _note(hit: Hit, mark: Mark) -> str:
    said = []
    if mark.known is not None and mark.known != mark.own:
        said.append(KNOWN[mark.known])
    if hit.copies:
        said.append(f"and {counted(hit.copies, 'same picture')}")
    return ", ".join(said)


def words(*, numbers: bool, markable: bool) -> str:
    """What the grid shows and what can be done with it."""
    said = ["The number is the cosine similarity, at most 1."] if numbers else []
    said.append("Click a picture to find what is like it.")
    if markable:
        said.append(
            "Say below a picture whether it is similar to the query: it counts as an answer."
        )
    else:
        said.append(
            "Answers need an image of the archive as query; an uploaded picture is not kept."
        )
    return " ".join(said)


def nothing_found(only: Only) -> str:
    """Why no image is shown."""
    said = f"No path contains “{only.text}”" if only.text else "There is no such image"
    return f"{said}, among all images." if only.part is None else f"{said}, in that part."


def thanks(project: Project, query_id: int, image_id: int) -> str:
    """What becomes of a mark."""
    if marks.is_learnt_from(project, query_id, [image_id]):
        return "Stored. The model learns from it in the next round."
    return "Stored. The model does not learn from it: an image is kept for measuring it."
