"""Figures of the papers, for archives that are theirs."""

from collections.abc import Mapping
from types import MappingProxyType

from domain.images import ImageRecord
from labeling_store import images
from workflow.project import Project

# ANNEAL, section on results: mAP@5 divided by the hits, mean of three trials, at the last bits of
# its figures; only what the text prints.
_FIGURES: Mapping[str, Mapping[str, float]] = {
    "UC Merced": {
        "paper, MGUE and BCGUE, 1845 bits: 93.6": 0.9356,
        "paper, CAL, 1845 bits: 87.8": 0.8782,
        "paper, random, 1845 bits: 72.0": 0.7196,
    },
    "AID": {
        "paper, BCGUE, 7440 bits: 93.1": 0.9313,
        "paper, CAL, 7440 bits: 87.7": 0.8770,
        "paper, random, 7440 bits: 77.2": 0.7716,
    },
}
_CLASSES = {"UC Merced": (2100, 21), "AID": (10_000, 30)}
# Some classes of each by which the archive is known, as its folders are called, letters only.
_TELLING = {
    "UC Merced": {"agricultural", "baseballdiamond", "chaparral", "mobilehomepark", "storagetanks"},
    "AID": {"airport", "bareland", "playground", "viaduct", "resort"},
}


def published_figures(project: Project) -> Mapping[str, float]:
    """The paper's mAP@5 by what it is of; empty where the archive is none of the paper's."""
    name = _known_archive(images.list_images(project.store.reader()))
    return MappingProxyType({}) if name is None else _FIGURES[name]


def _known_archive(records: list[ImageRecord]) -> str | None:
    """By how many images and classes there are and what some are called."""
    classes = {_letters(each.class_name) for each in records if each.class_name}
    for name, size in _CLASSES.items():
        if (len(records), len(classes)) == size and classes >= _TELLING[name]:
            return name
    return None


def _letters(text: str) -> str:
    return "".join(each for each in text.casefold() if each.isalpha())
