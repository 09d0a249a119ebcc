"""The losses that compare each image with a few chosen ones; a part of the catalogue."""

from domain.losses import LossChoice, LossParameter, NetworkVariant, Sweep

# Of distribution consistency, and of what it grew out of.
TAU = LossParameter(
    "tau",
    1.25,
    "The distance that dissimilar images are pushed beyond.",
    minimum=0,
    maximum=2,
    grid=(0.85, 0.95, 1.05, 1.15, 1.25, 1.35),
)
MARGIN = LossParameter(
    "margin",
    1.2,
    "Similar images are drawn within tau less this.",
    minimum=0,
    maximum=2,
    grid=(0.8, 0.9, 1.0, 1.1, 1.2),
)
NEGATIVES = LossParameter(
    "negatives", 5, "Dissimilar images of each image.", minimum=1, grid=(5, 10, 15)
)
SHARPNESS = LossParameter("sharpness", 50.0, "Of the derived weight.", minimum=0)
RELAXATION = LossParameter(
    "relaxation",
    0.2,
    "How much nearer the nearest kind may stay (derived); 0: no nearer.",
    minimum=0,
    maximum=1,
    grid=(0.0, 0.1, 0.2, 0.4),
)

TUPLE_LOSSES = (
    LossChoice(
        name="dcl",
        title="Distribution consistency (DCL, derived weight)",
        sentence="Draws each image to its farthest similar ones and away from the nearest image of "
        "each of the nearest other kinds.",
        source="DCL, eqs. 14-19; the weight of dissimilar images is derived, not printed",
        parameters=(
            TAU,
            MARGIN,
            LossParameter(
                "positives", 5, "Similar images of each image.", minimum=1, grid=(1, 5, 10)
            ),
            NEGATIVES,
            LossParameter(
                "hard_margin",
                0.1,
                "A similar image is hard if at most so much more alike than the most alike "
                "dissimilar one.",
                minimum=0,
                maximum=2,
            ),
            LossParameter(
                "hardness",
                1.0,
                "How much hard similar images raise the weight; 0: all weigh the same.",
                minimum=0,
                grid=(0.0, 0.5, 1.0, 2.0),
            ),
            SHARPNESS,
            RELAXATION,
            LossParameter(
                "distinct", True, "One image of each other kind only.", grid=(True, False)
            ),
            LossParameter(
                "lone_anchors", False, "Whether images without a similar one count, too."
            ),
        ),
    ),
    LossChoice(
        name="das_rhdis",
        title="Representative triplets (DAS-RHDIS)",
        sentence="Takes a few images far from one another, and of each the similar and dissimilar "
        "ones that teach most, instead of all triplets.",
        source="DAS-RHDIS, eqs. 1-6",
        parameters=(
            LossParameter(
                "margin",
                0.2,
                "How much nearer similar images must be, as a distance (0 to 2).",
                minimum=0,
                maximum=2,
            ),
            LossParameter(
                "anchors",
                "das",
                "Anchors: diverse (das), random (ras) or all (bas).",
                choices=("das", "ras", "bas"),
            ),
            LossParameter(
                "images",
                "rhdis",
                "Their images: relevant, hard and diverse (rhdis), random (ris) or all (bis).",
                choices=("rhdis", "ris", "bis"),
            ),
            LossParameter(
                "anchor_share",
                0.1,
                "Share of a batch's images that are anchors.",
                minimum=0,
                maximum=1,
                grid=(0.05, 0.1, 0.2, 0.5),
            ),
            LossParameter(
                "count",
                5,
                "Similar and dissimilar images of each anchor.",
                minimum=1,
                grid=(1, 5, 10),
            ),
            LossParameter(
                "similarity_weight",
                0.5,
                "How much similarity counts against distance when images are chosen.",
                minimum=0,
                maximum=1,
            ),
            LossParameter(
                "score_weight",
                0.1,
                "How much relevance and hardness count against diversity.",
                minimum=0,
                maximum=1,
                grid=(0.1, 0.5, 0.9),
            ),
            LossParameter(
                "among",
                "min",
                "Far from all chosen images (min), or from one of them, as printed (max).",
                choices=("min", "max"),
            ),
            LossParameter(
                "reduction",
                "violated",
                "Mean over triplets with a loss, or their sum, as printed.",
                choices=("violated", "sum"),
            ),
            LossParameter(
                "distance",
                "euclidean",
                "Of unit vectors, or stretched over the batch, as printed.",
                choices=("euclidean", "minmax"),
            ),
            LossParameter("seed", 0, "Of everything that is drawn.", minimum=0),
        ),
    ),
    LossChoice(
        name="ped",
        title="Proxy distance (PED)",
        sentence="Draws each image to the middle of its group and away from the middles of groups "
        "known to be different.",
        source="PEDC, eqs. 4-6, with the means of a batch's groups for proxies",
        parameters=(
            LossParameter(
                "alpha",
                16.0,
                "How sharply distances are told apart.",
                minimum=0,
                grid=(1.0, 4.0, 16.0, 32.0),
            ),
            LossParameter(
                "smallest", 2, "Images of a group that a batch needs to hold.", minimum=2
            ),
        ),
    ),
)

# Learns proxies beside head and network, which sees images turned at full depth.
PEDC = LossChoice(
    name="pedc",
    title="Proxies and turned images (PEDC)",
    sentence="Draws each image to a learnt point of its group, names the group, and, where the "
    "whole network learns, keeps an image near itself turned.",
    source="PEDC, eqs. 4-10",
    parameters=(
        LossParameter(
            "proxy_weight",
            0.5,
            "λ, of the distances to proxies and of turned images.",
            minimum=0,
            grid=(0.1, 0.5, 1.0, 2.0),
        ),
        LossParameter(
            "rotation_weight",
            1.0,
            "δ, of turned images within that.",
            minimum=0,
            grid=(0.0, 0.5, 1.0, 2.0),
        ),
        LossParameter(
            "class_weight",
            1.0,
            "ξ, of telling groups by a layer of their own.",
            minimum=0,
            grid=(0.0, 0.5, 1.0, 2.0),
        ),
        LossParameter("alpha", 16.0, "How sharply distances are told apart.", minimum=0),
        LossParameter("temperature", 0.1, "Of turned images.", minimum=0.001),
        LossParameter("normalised", True, "Whether proxies have length 1, as embeddings do."),
        LossParameter(
            "unknown_negative", True, "Whether images that nobody compared count as others there."
        ),
        LossParameter("proxy_rate", 1.0, "Of the learning rate, for proxies.", minimum=0.01),
    ),
)

TUPLE_SWEEPS = (
    Sweep(
        name="pedc-parts",
        sentence="PEDC: all of it, without turned images, without names, and names alone.",
        loss="pedc",
        settings=({}, {"rotation_weight": 0.0}, {"class_weight": 0.0}, {"proxy_weight": 0.0}),
    ),
    Sweep(
        name="pedc-out",
        sentence="PEDC: the length of an embedding.",
        loss="pedc",
        settings=({},),
        networks=tuple(NetworkVariant(out=length) for length in (32, 64, 128, 256)),
    ),
    Sweep(
        name="pedc-fusion",
        sentence="PEDC: maps of no, two and three depths fused, not weighed anew, and each part "
        "given the coarser one.",
        loss="pedc",
        settings=({},),
        networks=(
            *(NetworkVariant(levels=levels) for levels in ((), (2, 3), (2, 4), (3, 4), (2, 3, 4))),
            NetworkVariant(levels=(2, 3, 4), update=False),
            NetworkVariant(levels=(2, 3, 4), fuse_high=True),
        ),
    ),
    Sweep(
        name="das_rhdis-selection",
        sentence="Representative triplets: each choice of anchors with each choice of images.",
        loss="das_rhdis",
        settings=tuple(
            {"anchors": anchors, "images": images}
            for anchors in ("das", "ras", "bas")
            for images in ("rhdis", "ris", "bis")
        ),
    ),
)
