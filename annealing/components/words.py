"""Why a question about groups is asked, in one sentence for the person who answers."""

from annealing.components.questions import Chain
from annealing.proposals import Question


def reason(chain: Chain, place: int) -> str:
    """One sentence for a question of a chain; it says what is compared, never what is expected."""
    size = chain.sizes[place]
    if chain.kind is Question.FIRST_KINDS:
        return "Each stands for a part of the archive: are the two parts the same kind?"
    if chain.kind is Question.SAME_KIND:
        return (
            "Each stands for images you called alike, and the two groups look close: the same kind?"
        )
    if chain.kind is Question.ONE_KIND:
        return f"From opposite ends of {size} images that count as alike: the same kind?"
    if chain.repeats:
        return "Asked with another example, because the images and the answers disagree."
    if size == 1:
        return "One of them is new and looks most like the other: the same kind?"
    return f"One of them is new and looks most like {size} images you called alike: the same kind?"
