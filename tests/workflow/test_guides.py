"""Instructions: every version is kept, the newest counts, only leads write them."""

import pytest

from domain.errors import AccessError, InputError
from domain.guide import LONGEST_REMARK, LONGEST_TEXT, MOST_EXAMPLES, Example
from domain.members import Member, Role
from domain.pairs import Pair
from workflow import guides, members
from workflow.project import Project, local_owner

EXAMPLE = Example(Pair(1, 2), True, "both have roofs")


@pytest.fixture
def lead(project: Project) -> Member:
    return members.add_member(project, local_owner(project), "lea", Role.LEAD)


def test_the_newest_version_counts_with_its_examples_in_order(
    project: Project, lead: Member
) -> None:
    assert guides.current_guide(project) is None
    guides.write_guide(project, lead, "First.", [])
    other = Example(Pair(1, 3), False)
    assert guides.write_guide(project, lead, " <b>Second</b>\nline \n", [other, EXAMPLE])
    guide = guides.current_guide(project)
    assert guide is not None
    assert (guide.text, guide.examples) == ("<b>Second</b>\nline", (other, EXAMPLE))
    assert guide.member == "lea"


def test_saving_what_is_there_already_makes_no_new_version(project: Project, lead: Member) -> None:
    guides.write_guide(project, lead, "Text.", [EXAMPLE])
    before = guides.current_guide(project)
    assert not guides.write_guide(project, lead, "Text. ", [EXAMPLE])
    assert guides.current_guide(project) == before


def test_emptied_instructions_are_none(project: Project, lead: Member) -> None:
    guides.write_guide(project, lead, "Text.", [])
    assert guides.write_guide(project, lead, " ", [])
    assert guides.current_guide(project) is None


def test_annotators_write_none(project: Project) -> None:
    with pytest.raises(AccessError, match="write instructions"):
        guides.write_guide(project, members.join(project, "ann"), "Text.", [])


@pytest.mark.parametrize(
    ("text", "examples", "why"),
    [
        ("x" * (LONGEST_TEXT + 1), [], "10,001 characters"),
        ("", [EXAMPLE] * (MOST_EXAMPLES + 1), "13 examples"),
        ("", [Example(Pair(1, 2), True, "x" * (LONGEST_REMARK + 1))], "301 characters"),
        ("", [Example(Pair(1, 999), True)], "no image 999"),
    ],
    ids=["long text", "many examples", "long remark", "no such image"],
)
def test_what_cannot_be_kept_is_refused_and_changes_nothing(
    project: Project, lead: Member, text: str, examples: list[Example], why: str
) -> None:
    guides.write_guide(project, lead, "Before.", [])
    with pytest.raises(InputError, match=why):
        guides.write_guide(project, lead, text, examples)
    guide = guides.current_guide(project)
    assert guide is not None
    assert guide.text == "Before."
