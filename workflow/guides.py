"""Instructions that leads write for annotators."""

from collections.abc import Sequence

from domain.clock import utc_now
from domain.errors import InputError
from domain.guide import LONGEST_REMARK, LONGEST_TEXT, MOST_EXAMPLES, Example, Guide
from domain.members import Member, Role, require
from labeling_store import guides, images
from workflow.project import Project


def current_guide(project: Project) -> Guide | None:
    """The instructions as they are now; None where there are none, or they were emptied."""
    guide = guides.newest_guide(project.store.reader())
    return guide if guide is not None and (guide.text or guide.examples) else None


def write_guide(project: Project, member: Member, text: str, examples: Sequence[Example]) -> bool:
    """Make these the instructions; whether that changed anything.

    Raises:
        AccessError: the member is no lead.
        InputError: it is too long, there are too many examples, or one is of no image there is.
    """
    require(member, Role.LEAD, to="write instructions")
    text = text.strip()
    _check(project, text, examples)
    before = current_guide(project)
    if (text, tuple(examples)) == ((before.text, before.examples) if before else ("", ())):
        return False
    with project.store.transaction() as db:
        guides.add_guide(db, member, text, examples, now=utc_now())
    return True


def _check(project: Project, text: str, examples: Sequence[Example]) -> None:
    if len(text) > LONGEST_TEXT:
        raise InputError(
            f"The instructions have {len(text):,} characters, of {LONGEST_TEXT:,} at most.",
            "Nobody reads that much before answering: shorten them.",
        )
    if len(examples) > MOST_EXAMPLES:
        raise InputError(
            f"There are {len(examples)} examples, of {MOST_EXAMPLES} at most.", "Take some out."
        )
    for each in examples:
        if len(each.remark) > LONGEST_REMARK:
            raise InputError(
                f"A remark has {len(each.remark)} characters, of {LONGEST_REMARK} at most.",
                "Shorten it.",
            )
        for image_id in each.pair:
            if images.get_image(project.store.reader(), image_id) is None:
                raise InputError(f"There is no image {image_id}.", "Choose another example.")
