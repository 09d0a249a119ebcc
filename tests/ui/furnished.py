"""A project in which every page has something to show: people, rounds, models, conflicts."""

import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image

from domain.answers import Kind, NewAnswer
from domain.clock import utc_now
from domain.flags import NewFlag
from domain.guide import Example
from domain.members import Member, Role
from domain.pairs import Pair, pair
from tests.pictures import texture
from tests.ui import stage
from worker.agreement import report_on_people
from workflow import conflicts, jobs, members
from workflow.backups import BY_HAND, write_backup
from workflow.conflicts import Ruling
from workflow.flags import submit_flags
from workflow.guides import write_guide
from workflow.project import Project, local_owner
from workflow.questions import next_questions, submit_answers

FINAL_ROUND = 6
GUIDE = (
    "Similar is what people use in the same way, whatever its colour and direction.",
    "Both are the same kind of place.",
    "Different kinds of place, though the colours are alike.",
)
START, GAIN, KEPT = 0.62, 0.33, 0.62  # a curve that rises and flattens
ANSWERED, LEASED, ABOUT_ONE = 24, 3, 8  # of a round's questions
REASON = "The model cannot tell whether these belong together."
NOTE = "Most pairs looked alike to the model, so this round asks elsewhere."


@dataclass(frozen=True)
class Furnished:
    """Who is in the project, and a pair that has a history."""

    annotator: Member
    other: Member
    lead: Member
    pair: Pair


def furnish(
    project: Project, *, names: Sequence[str] = ("Ann", "Ben", "Lea"), note: str = NOTE
) -> Furnished:
    """Fill a fresh project; names are those of two annotators and a lead."""
    owner = local_owner(project)
    roles = (Role.ANNOTATOR, Role.ANNOTATOR, Role.LEAD)
    ann, ben, lea = (
        members.add_member(project, owner, name, role)
        for name, role in zip(names, roles, strict=True)
    )
    stage.finish_jobs(project)
    stage.write_log(project, f"warm-up: {note}")
    stage.add_model(project, 0, metrics=_metrics(0))
    _answer(project, ann, ANSWERED)
    for number in range(1, FINAL_ROUND):
        stage.add_model(project, number, metrics=_metrics(number), bits=ANSWERED * number)
        _next_round(project, number + 1, note)
        _answer(project, (ann, ben, owner)[number % 3], ANSWERED)
    _point_out(project, ann, lea, note)
    pair = _disagree(project, ann, ben, lea)
    _settle_one(project, lea)
    report_on_people(project)
    next_questions(project, ben, count=LEASED)
    write_backup(project, made=BY_HAND, key="furnished")
    jobs.enqueue_people(project.jobs)
    stage.finish_jobs(project)
    stage.embed_upload(project, upload(), like=pair.a)
    return Furnished(ann, ben, lea, pair)


def upload() -> bytes:
    """A picture of somebody's own, as JPEG, which the worker has seen."""
    drawn = io.BytesIO()
    picture = texture("stripes", np.random.default_rng(7), size_px=256)
    Image.fromarray(picture).save(drawn, "JPEG")
    return drawn.getvalue()


def _next_round(project: Project, number: int, note: str) -> None:
    """Pairs at random, and behind those that get answers some about one image, for the grid."""
    centre, *others = (each.image_id for each in stage.training_images(project)[::11])
    about_one = [pair(centre, each) for each in others[:ABOUT_ONE]]
    asked = stage.training_pairs(project, 60, skip=60 * number)
    mixed = [each for each in asked if each not in about_one][: 40 - ABOUT_ONE]
    mixed[ANSWERED + LEASED : ANSWERED + LEASED] = about_one
    stage.next_round(
        project, number, mixed, model=f"r{number - 1:03d}", notes=(note,), reason=REASON
    )


def _metrics(number: int) -> dict[str, float]:
    quality = START + GAIN * (1 - KEPT**number)
    retrieval = {"map": quality - 0.15, "map_at_5_min": quality, "map_at_5_hits": quality + 0.02}
    return {"threshold": 0.35, "p_at_5": quality - 0.03, "p_at_10": quality - 0.07, **retrieval}


def _answer(project: Project, member: Member, count: int) -> None:
    """Truthful answers to questions, at a usual pace, the last of them unsure."""
    asked = next_questions(project, member, count=count)
    new = [
        NewAnswer(
            key=str(uuid.uuid4()),
            kind=_truth(project, each.image_a, each.image_b, last=at == len(asked) - 1),
            pair=Pair(each.image_a, each.image_b),
            answered_at=utc_now(),
            answer_ms=1200 + 173 * (at % 7),
            proposal_id=each.proposal_id,
            round_id=each.round_id,
            reason=each.reason,
        )
        for at, each in enumerate(asked)
    ]
    submit_answers(project, member, new)


def _truth(project: Project, a: int, b: int, *, last: bool) -> Kind:
    if last:
        return Kind.UNSURE
    return Kind.SIMILAR if stage.alike(project, Pair(a, b)) else Kind.DISSIMILAR


def _disagree(project: Project, ann: Member, ben: Member, lea: Member) -> Pair:
    """Two contradictions with what chains imply, a tie, and labels that several people gave."""
    chain = stage.one_kind(project, 8)
    for a, b in pairwise(chain[:5]):
        for who in (ann, ben):
            stage.answer_as(project, who, Pair(min(a, b), max(a, b)), Kind.SIMILAR)
    for end in (3, 4):
        stage.answer_as(project, ben, Pair(chain[0], chain[end]), Kind.DISSIMILAR)
    tied = Pair(*sorted(chain[6:8]))
    stage.answer_as(project, ann, tied, Kind.SIMILAR)
    stage.answer_as(project, lea, tied, Kind.DISSIMILAR)
    return tied


def _point_out(project: Project, ann: Member, lead: Member, note: str) -> None:
    """Instructions with examples, and flags on a question and on an image."""
    a, b, c = stage.one_kind(project, 3)
    other = next(
        each for each in stage.training_pairs(project, 99) if not stage.alike(project, each)
    )
    examples = [Example(Pair(a, b), True, GUIDE[1]), Example(other, False, GUIDE[2])]
    write_guide(project, lead, f"{GUIDE[0]} {note}", examples)
    submit_flags(project, ann, [NewFlag("flag-1", a, b, note), NewFlag("flag-2", c, None, note)])


def _settle_one(project: Project, lead: Member) -> None:
    found = conflicts.list_open(project, limit=9)
    dispute = conflicts.look_into(project, found[-1].conflict_id)
    if dispute is None:
        raise LookupError("The conflict is gone.")
    conflicts.settle(project, lead, dispute, Ruling.SIMILAR, key=str(uuid.uuid4()))
