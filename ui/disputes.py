"""Conflicts in words: what a lead reads of them, and the ways to settle them."""

from collections.abc import Mapping, Sequence

from domain.answers import Conflict, Event, Kind, Settlement
from domain.pairs import Pair
from ui.gallery.mount import Choice, ClaimWords, DisputeCard, LabelRow, Picture, RowAction, Voice
from ui.tables import LABEL_WORDS
from workflow.conflicts import Claim, Dispute, Ruling

Paths = Mapping[int, str]
_SAID = {
    Kind.SIMILAR: "similar",
    Kind.DISSIMILAR: "different",
    Kind.UNSURE: "unsure",
    Kind.SKIP: "skipped",
}
_DECIDED = {True: "settled as similar", False: "settled as different", None: "set aside"}
_EARLIER = Choice(Ruling.EARLIER.value, "Earlier answers are right")
_THIS = "This answer is right"
_TIE_CHOICES = (
    Choice(Ruling.SIMILAR.value, "They are similar"),
    Choice(Ruling.DISSIMILAR.value, "They are different"),
)


def names(pair: Pair, paths: Paths) -> str:
    """The two images of a pair."""
    return _both(*pair, paths)


def line(conflict: Conflict, paths: Paths) -> str:
    """A conflict in one line."""
    both = names(conflict.pair, paths)
    if conflict.evidence == (conflict.pair,):
        return f"{both}: members disagree"
    earlier = len(conflict.evidence)
    return f"{both}: against {earlier} earlier {'answer' if earlier == 1 else 'answers'}"


def card(dispute: Dispute, paths: Paths) -> DisputeCard:
    """A conflict with its pictures, and the buttons that settle it."""
    own = dispute.own
    images = (_picture(own.first, paths), _picture(own.second, paths))
    if dispute.is_tie:
        words = _claim(own, paths, label="Members disagree")
        return DisputeCard("Are these two similar?", images, words, _TIE_CHOICES, "", (), (), ())
    first, *others = dispute.path
    along = [first.first, first.second, *(each.second for each in others)]
    steps = [_claim(each, paths, weakest=each.pair == dispute.weakest) for each in dispute.path]
    weakest = next(each.hint for each in steps if each.weakest)
    return DisputeCard(
        title="This answer contradicts earlier ones",
        images=images,
        own=_claim(own, paths),
        own_choices=(Choice(Ruling.THIS.value, _THIS, f"Sets the weakest aside: {weakest}"),),
        path_title=f"Earlier answers imply: {LABEL_WORDS[not own.similar].lower()}",
        path=tuple(_picture(image_id, paths) for image_id in along),
        steps=tuple(steps),
        path_choices=(_EARLIER,),
    )


def settled_row(settlement: Settlement, paths: Paths) -> LabelRow:
    """A settlement as a line of the table of labels."""
    a, b = settlement.pair
    return LabelRow(
        images=(_picture(a, paths), _picture(b, paths)),
        label=settlement.reason or "Settled.",
        note="; ".join(
            f"{names(each.pair, paths)}: {_DECIDED[each.similar]}" for each in settlement.words
        ),
        members=settlement.member,
        answered_at=settlement.settled_at,
        round="",
        actions=(RowAction("Take back", "take_back", settlement.words[0].key),),
    )


def _claim(
    claim: Claim, paths: Paths, *, label: str | None = None, weakest: bool = False
) -> ClaimWords:
    return ClaimWords(
        similar=claim.similar,
        label=label or LABEL_WORDS[claim.similar],
        voices=_voices(claim.events),
        model="" if claim.similarity is None else f"The model: cosine {claim.similarity:.2f}",
        hint=_both(claim.first, claim.second, paths),
        weakest=weakest,
    )


def _voices(events: Sequence[Event]) -> tuple[Voice, ...]:
    return tuple(
        Voice(
            each.member,
            _SAID.get(each.kind, _DECIDED[each.similar]),
            each.answered_at,
            each.reason or "",
        )
        for each in events
    )


def _both(first: int, second: int, paths: Paths) -> str:
    return f"{paths.get(first, f'image {first}')} and {paths.get(second, f'image {second}')}"


def _picture(image_id: int, paths: Paths) -> Picture:
    return Picture(id=image_id, caption=paths.get(image_id, f"image {image_id}"))
