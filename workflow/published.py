"""Figures of the papers, for archives that are theirs."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

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
    records = images.list_images(project.store.reader())
    return figures_of(len(records), [each.class_name for each in records if each.class_name])


def figures_of(image_count: int, class_names: Iterable[str]) -> Mapping[str, float]:
    """The same for so many images in these classes, by which the archive is recognised."""
    classes = {_letters(each) for each in class_names}
    for name, size in _CLASSES.items():
        if (image_count, len(classes)) == size and classes >= _TELLING[name]:
            return _FIGURES[name]
    return MappingProxyType({})


def _letters(text: str) -> str:
    return "".join(each for each in text.casefold() if each.isalpha())
