"""The losses that the papers compare with, each on known pairs; a part of the catalogue."""

from dataclasses import replace

from domain.losses import LossChoice, LossParameter
from domain.tuple_losses import MARGIN, NEGATIVES, RELAXATION, SHARPNESS, TAU

_THRESHOLD = LossParameter(
    "threshold", 0.5, "λ, the cosine between both kinds of pairs.", minimum=-1, maximum=1
)
_STEEP = (
    LossParameter("alpha", 2.0, "α, how steep for similar pairs.", minimum=0.01),
    LossParameter("beta", 50.0, "β, how steep for dissimilar pairs.", minimum=0.01),
    _THRESHOLD,
)

BASELINE_LOSSES = (
    LossChoice(
        name="cbmir",
        title="Contrastive on distances (CBMIR)",
        sentence="Pulls similar pairs together and pushes others beyond a fixed distance.",
        source="CBMIR, after Hadsell and others (2006)",
        parameters=(LossParameter("margin", 1.0, "That distance (0 to 2).", minimum=0, maximum=2),),
    ),
    LossChoice(
        name="binomial_deviance",
        title="Binomial deviance",
        sentence="Makes each pair pay the more, the farther it is on the wrong side of a cosine.",
        source="DCL, eq. 5, after Yi and others (2014)",
        parameters=_STEEP,
    ),
    LossChoice(
        name="multi_similarity",
        title="Multi-similarity",
        sentence="The same, but of each image's pairs the hardest count most.",
        source="Wang and others (2019), multi-similarity",
        parameters=_STEEP,
    ),
    LossChoice(
        name="datl",
        title="Dual-anchor triplet (DATL, derived)",
        sentence="Asks of both images of a similar pair that the nearest other one is farther.",
        source="DATL (derived)",
        parameters=(
            LossParameter(
                "margin", 0.2, "How much farther, as a distance (0 to 2).", minimum=0, maximum=2
            ),
        ),
    ),
    LossChoice(
        name="n_pair",
        title="N-pair (NPL)",
        sentence="Picks each similar image out of the most alike image of every other kind.",
        source="Sohn (2016)",
        parameters=(LossParameter("scale", 10.0, "How sharp the choice is.", minimum=0.01),),
    ),
    LossChoice(
        name="nt_xent",
        title="NT-Xent",
        sentence="Picks each similar image out of all dissimilar ones.",
        source="Chen and others (2020)",
        parameters=(LossParameter("temperature", 0.07, "How soft the choice is.", minimum=0.001),),
    ),
    LossChoice(
        name="proxy_nca",
        title="Proxy-NCA",
        sentence="Draws each image to the middle of its group, away from those of other groups.",
        source="Movshovitz-Attias and others (2017)",
        parameters=(LossParameter("scale", 3.0, "How sharp the choice is.", minimum=0.01),),
    ),
    LossChoice(
        name="lifted_structure",
        title="Lifted structure",
        sentence="Weighs each similar pair against all dissimilar images of both its images.",
        source="Song and others (2016)",
        parameters=(
            LossParameter(
                "margin", 1.0, "Distance others are pushed beyond.", minimum=0, maximum=2
            ),
        ),
    ),
    LossChoice(
        name="ranked_list",
        title="Ranked list",
        sentence="Draws similar images into a sphere, and pushes others out of a larger one.",
        source="Wang and others (2019), ranked list",
        parameters=(
            LossParameter("alpha", 1.2, "Radius of the larger sphere.", minimum=0, maximum=2),
            LossParameter("margin", 0.4, "How much smaller the other.", minimum=0, maximum=2),
            LossParameter("imbalance", 0.5, "Share of the part that pushes.", minimum=0, maximum=1),
            LossParameter(
                "temperature", 10.0, "How much more nearer images are pushed.", minimum=0
            ),
        ),
    ),
    LossChoice(
        name="fast_ap",
        title="FastAP",
        sentence="Ranks similar images first, by histograms of their distances.",
        source="Cakir and others (2019)",
        parameters=(LossParameter("bins", 10, "Of the histogram.", minimum=2),),
    ),
    LossChoice(
        name="dsll",
        title="DSLL (derived)",
        sentence="Distribution consistency with one similar image an anchor.",
        source="DSLL (derived)",
        parameters=(
            *(replace(each, grid=()) for each in (TAU, MARGIN, NEGATIVES, SHARPNESS, RELAXATION)),
        ),
    ),
)
