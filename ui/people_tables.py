"""Rows and words of the People page."""

from typing import Any

from domain.people import Activity, PeopleReport
from ui.components import counted
from workflow.people import People, kappa_in_words

AGREEMENT_WORDS = (
    "A share of the pairs is asked of several people, none of whom sees what the others say. Kappa "
    "is how far they agree beyond chance: 1 is always, 0 is as often as by chance."
)
NOTHING_COMMON = (
    "No pair was labelled by two people. A share of the questions is asked of several: let "
    "somebody else annotate too."
)
LEAVING = (
    "The answers stay and count. The name is replaced everywhere by “former member” with a number, "
    "pairs on the screen go to others, tokens end. It cannot be undone."
)

SIGN_IN = (
    "The first person who signs in and proves this address is the member from then on, even if the "
    "address changes hands later. Empty: nobody can sign in as them."
)


def activity_rows(found: People) -> list[dict[str, Any]]:
    """A line a person; what the last report does not know is empty."""
    everybody = (*found.persons, *(each for each in found.former if each.activity is not None))
    return [{"Name": person.member.name, **_activity_row(person.activity)} for person in everybody]


def as_of(found: People) -> str:
    """How old the figures are, and what the columns mean."""
    report = found.report
    if report is None:
        return ""
    moment = f"{report.computed_at[:10]} {report.computed_at[11:16]} UTC"
    since = f"; {counted(found.new_events, 'event')} came since" if found.new_events else ""
    return (
        f"As of {moment}{since}. Seconds: the median from showing a pair to the key. Repeats: "
        "pairs asked of the same person a second time, unmarked, and how many got another answer."
    )


def agreement_rows(found: People) -> list[dict[str, Any]]:
    """A line for every two members with common pairs."""
    report = found.report
    return [
        {
            "Who": f"{found.name(each.first_id)}, {found.name(each.second_id)}",
            "Common pairs": each.pairs,
            "Same label": _percent(each.agreed, each.pairs),
            "Cohen's kappa": "undefined" if each.kappa is None else f"{each.kappa:.2f}",
            "In words": kappa_in_words(each.kappa, each.pairs),
        }
        for each in (report.agreements if report else ())
    ]


def overall(report: PeopleReport) -> str:
    """The agreement of all, in one or two sentences."""
    kappa = "undefined" if report.kappa is None else f"{report.kappa:.2f}"
    return (
        f"{counted(report.pairs, 'pair')} labelled by two people or more, {report.agreed} of them "
        f"alike. Fleiss' kappa of all: {kappa} ({kappa_in_words(report.kappa, report.pairs)})."
    )


def _activity_row(activity: Activity | None) -> dict[str, Any]:
    if activity is None:
        return {"Answers": 0}
    median_ms, repeated = activity.median_ms, activity.repeated
    return {
        "Answers": activity.answers,
        "A day": round(activity.answers / max(activity.days, 1)),
        "Seconds": None if median_ms is None else round(median_ms / 1000, 1),
        "Unsure": _percent(activity.unsure, activity.answers),
        "Skipped": _percent(activity.skipped, activity.answers),
        "Taken back": _percent(activity.taken_back, activity.answers),
        "Repeats": f"{repeated}, {activity.changed} changed" if repeated else "none yet",
        "Last answer": (activity.last_answered_at or "")[:10],
    }


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.0f} %" if of else ""
