"""The losses that compare each anchor with a few chosen images; a part of the catalogue."""

from domain.losses import LossChoice, LossParameter

TUPLE_LOSSES = (
    LossChoice(
        name="dcl",
        title="Distribution consistency (DCL, derived weight)",
        sentence="Draws each image to its farthest similar ones and away from the nearest image of "
        "each of the nearest other kinds.",
        source="DCL, eqs. 14-19; the weight of dissimilar images is derived, not printed",
        parameters=(
            LossParameter(
                "tau",
                1.25,
                "The distance that dissimilar images are pushed beyond.",
                minimum=0,
                maximum=2,
                grid=(0.85, 0.95, 1.05, 1.15, 1.25, 1.35),
            ),
            LossParameter(
                "margin",
                1.2,
                "Similar images are drawn within tau less this.",
                minimum=0,
                maximum=2,
                grid=(0.8, 0.9, 1.0, 1.1, 1.2),
            ),
            LossParameter(
                "positives", 5, "Similar images of each image.", minimum=1, grid=(1, 5, 10)
            ),
            LossParameter(
                "negatives", 5, "Dissimilar images of each image.", minimum=1, grid=(5, 10, 15)
            ),
            LossParameter(
                "hard_margin",
                0.1,
                "A similar image is hard if at most so much more alike than the most alike "
                "dissimilar one.",
                minimum=0,
                maximum=2,
            ),
            LossParameter(
                "hardness", 1.0, "How much hard similar images raise the weight.", minimum=0
            ),
            LossParameter("sharpness", 50.0, "Of the derived weight.", minimum=0),
            LossParameter(
                "relaxation",
                0.2,
                "How much nearer the nearest kind may stay (derived); 0: no nearer.",
                minimum=0,
                maximum=1,
                grid=(0.0, 0.1, 0.2, 0.4),
            ),
            LossParameter(
                "distinct", True, "One image of each other kind only.", grid=(True, False)
            ),
            LossParameter(
                "lone_anchors", False, "Whether images without a similar one count, too."
            ),
        ),
    ),
)
