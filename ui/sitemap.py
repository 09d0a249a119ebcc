"""Which pages there are, in the order of the menu, and who may open them."""

from domain.members import Role

HOME = "overview"  # at the bare address; annotators go on to Annotate from there
# The least role that may open a page, by its file.
PAGES = {
    "overview": ("Overview", Role.LEAD),
    "annotate": ("Annotate", Role.ANNOTATOR),
    "my_answers": ("My answers", Role.ANNOTATOR),
    "rounds": ("Rounds", Role.LEAD),
    "curves": ("Curves", Role.LEAD),
    "search": ("Search", Role.LEAD),
    "explore": ("Explore", Role.LEAD),
    "labels": ("Labels", Role.LEAD),
    "conflicts": ("Conflicts", Role.LEAD),
    "people": ("People", Role.LEAD),
    "instructions": ("Instructions", Role.LEAD),
    "project": ("Project", Role.LEAD),
    "you": ("You", Role.ANNOTATOR),
}
