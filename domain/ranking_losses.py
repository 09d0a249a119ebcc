"""The losses that rank: those of OSAP and what it is compared with."""

from domain.losses import AS_SET, LossChoice, LossParameter, NetworkVariant, Sweep

_SRF = (
    LossParameter(
        "gamma",
        0.001,
        "γ, the width of the step that counts ranks.",
        minimum=1e-6,
        grid=(1.0, 0.1, 0.01, 0.001, 0.0001),
    ),
    LossParameter(
        "delta",
        0.65,
        "δ, what a wrongly ranked image costs beyond the step; a bound from 0.5 on.",
        minimum=0,
        grid=(0.0, 0.25, 0.5, 0.65, 0.8, 1.0),
    ),
    LossParameter(
        "variant",
        "paper",
        "Which reading of the step.",
        choices=("paper", "global", "shift", "half"),
        grid=("paper", "global", "shift", "half"),
    ),
)
_OSP = (
    LossParameter(
        "epsilon", 0.2, "ε, how much dissimilar images are counted as nearer.", minimum=0, maximum=2
    ),
    LossParameter(
        "margin",
        0.25,
        "m, how far behind, as a cosine.",
        minimum=0,
        maximum=2,
        grid=(0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45),
    ),
    LossParameter("scale", 65.0, "T, how steep.", minimum=0, grid=(45.0, 55.0, 65.0, 75.0, 85.0)),
    LossParameter("detach_upper", False, "Whether the better of two similar images stays put."),
)
_TAU = LossParameter("tau", 0.01, "τ, the width of the sigmoid.", minimum=1e-6)
_SUP = (
    _TAU,
    LossParameter("rho", 100.0, "ρ, how steep from the margin on.", minimum=0),
    LossParameter("margin", 0.05, "Where the steep part starts.", minimum=0, maximum=2),
    LossParameter("offset", 1.44, "What an image costs there.", minimum=0),
)

RANKING_LOSSES = (
    LossChoice(
        name="osap",
        title="OSAP",
        sentence="Ranks similar images first, and keeps dissimilar ones well behind them.",
        source="OSAP, eq. 16",
        parameters=(
            LossParameter(
                "omega",
                0.2,
                "ω, the share of the part that keeps images behind.",
                minimum=0,
                maximum=1,
                grid=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
            ),
            *_SRF,
            *_OSP,
            LossParameter("shift_in_ap", False, "Whether ε counts in the ranking too."),
        ),
    ),
    LossChoice(
        name="srf_ap",
        title="SRF-AP",
        sentence="Ranks similar images first; no image is too far off to be moved.",
        source="OSAP, eqs. 8-11",
        parameters=_SRF,
    ),
    LossChoice(
        name="osp",
        title="OSP",
        sentence="Keeps similar images alike and dissimilar ones behind them by a margin.",
        source="OSAP, eqs. 12-15",
        parameters=_OSP,
    ),
    LossChoice(
        name="smooth_ap",
        title="Smooth-AP",
        sentence="Ranks similar images first, with a gradient near the wrong places only.",
        source="Smooth-AP (Brown and others, 2020)",
        parameters=(_TAU,),
    ),
    LossChoice(
        name="sup_ap",
        title="SupAP",
        sentence="Ranks similar images first, and pulls hard at images ranked wrongly.",
        source="ROADMAP (Ramzi and others, 2021)",
        parameters=_SUP,
    ),
    LossChoice(
        name="roadmap",
        title="ROADMAP",
        sentence="SupAP, and cosines above a bound for similar pairs, below one for others.",
        source="ROADMAP (Ramzi and others, 2021)",
        parameters=(
            LossParameter("calibration", 0.5, "λ, the share of the bounds.", minimum=0, maximum=1),
            LossParameter(
                "alpha", 0.9, "The cosine similar pairs should reach.", minimum=-1, maximum=1
            ),
            LossParameter(
                "beta", 0.6, "The cosine dissimilar pairs should stay below.", minimum=-1, maximum=1
            ),
            *_SUP,
        ),
    ),
)

RANKING_SWEEPS = (
    Sweep(
        name="osap-parts",
        sentence="OSAP: the ranking alone, the distance behind alone, and both.",
        loss="osap",
        settings=({"omega": 0.0}, {"omega": 1.0}, {}),
    ),
    Sweep(
        name="osap-multistage",
        sentence="OSAP: the ranking of a batch, and of eight by multistage back-propagation.",
        loss="osap",
        settings=({},),
        networks=(AS_SET, NetworkVariant(buffer=8)),  # the paper's 64 and 512 images
    ),
    Sweep(
        name="osap-readings",
        sentence="OSAP: what the paper leaves open, each reading by itself.",
        loss="osap",
        settings=({}, {"detach_upper": True}, {"shift_in_ap": True}),
    ),
)
