"""What the answers tell about the people who gave them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Activity:
    """What a member did, imported answers aside.

    Attributes:
        answers: similar, dissimilar, unsure and skip; those taken back too.
        days: on how many days (UTC) they were given.
        median_ms: from the painted pair to the key press; None where no answer has a time.
        repeated, changed: hidden repeats with a label both times, and those answered differently.
    """

    member_id: int
    answers: int
    days: int
    unsure: int
    skipped: int
    taken_back: int
    median_ms: int | None
    last_answered_at: str | None
    repeated: int
    changed: int


@dataclass(frozen=True)
class Agreement:
    """How far two members say the same of the pairs that both labelled.

    Attributes:
        pairs: labelled similar or dissimilar by both; what they say now counts.
        agreed: those with the same label.
        kappa: Cohen's, -1…1; None where it is undefined, as all labels are the same.
    """

    first_id: int
    second_id: int
    pairs: int
    agreed: int
    kappa: float | None


@dataclass(frozen=True)
class PeopleReport:
    """What the worker found out about people's answers.

    Attributes:
        last_event_id: the newest event that counts in it.
        pairs: labelled by two members or more.
        agreed: those with one label only.
        kappa: Fleiss', -1…1; None where it is undefined, as there are no such pairs or all labels
            are the same.
        activities: by ascending member id; members without answers are absent.
        agreements: of every two members with common pairs.
    """

    computed_at: str
    last_event_id: int
    pairs: int
    agreed: int
    kappa: float | None
    activities: tuple[Activity, ...]
    agreements: tuple[Agreement, ...]
