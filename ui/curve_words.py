"""What the charts of the Curves page say, in a sentence each."""

from collections.abc import Mapping

METRIC_HELP = (
    "mAP@5 divides by the best that five places allow; the papers divide by the hits among the "
    "five, which flatters. mAP looks at the whole ranking."
)
EFFORT_HELP = "Minutes count how long people looked at pairs, at most one a pair."
OUTLOOK_WORDS = (
    "A line through the errors of the models so far, drawn further. It knows only what was seen."
)
CHANGE_WORDS = {
    True: "mAP@5 of the images kept as queries.",
    False: "How often a model ranks what people call similar to an image above what they do not; "
    "it may have learnt from these answers.",
}
RETRIEVAL_WORDS = (
    "How many of the images found first show the same class as the query, on images that are "
    "never asked about or learnt from."
)
FAIRNESS_WORDS = (
    "Most questions are pairs that a model is unsure of: a hard test, whose line may fall. The few "
    "random pairs among them compare models fairly."
)
JUDGED_WORDS: Mapping[str, str] = {
    "auc": "How well a model ranks similar above different pairs, on answers it had not seen.",
    "balanced_accuracy": "How often a model says what people say, similar and different pairs "
    "counting the same, on answers it had not seen.",
}
HISTOGRAM_WORDS = (
    "How similar the model finds the pairs that people answered: the farther the two sides are "
    "apart, the better it follows them. Labels lists those on the other side of its threshold."
)
FIGURES_WORDS = (
    "A line a model, the least effort first. Average precision looks at the pairs that the model "
    "finds most alike: how many of them people call similar. It tells models apart where similar "
    "pairs are few; chance gives their share."
)
