"""Losses by the names of `domain.loss_catalogue`, which says what each does."""

from collections.abc import Callable, Mapping

from domain.loss_catalogue import relevance_choice
from domain.losses import Value
from training.losses.average_precision import SmoothAP, SupAP
from training.losses.contrastive import Contrastive
from training.losses.distribution import DistributionConsistency
from training.losses.dsll import DSLL
from training.losses.lists import FastAP, LiftedStructure, RankedList
from training.losses.osap import OSAP, OSP, SRFAP
from training.losses.pairwise import BinomialDeviance, DistanceContrastive, MultiSimilarity
from training.losses.proxies import ProxyDistance
from training.losses.relevance import RelevanceLoss
from training.losses.representative import RepresentativeTriplets
from training.losses.roadmap import Roadmap
from training.losses.softmax import NPair, NTXent, ProxyNCA
from training.losses.triplet import DualAnchorTriplet, Triplet

LOSS_CLASSES: Mapping[str, Callable[..., RelevanceLoss]] = {
    "contrastive": Contrastive,
    "das_rhdis": RepresentativeTriplets,
    "dcl": DistributionConsistency,
    "ped": ProxyDistance,
    "triplet": Triplet,
    "osap": OSAP,
    "srf_ap": SRFAP,
    "osp": OSP,
    "smooth_ap": SmoothAP,
    "sup_ap": SupAP,
    "roadmap": Roadmap,
    "cbmir": DistanceContrastive,
    "binomial_deviance": BinomialDeviance,
    "multi_similarity": MultiSimilarity,
    "datl": DualAnchorTriplet,
    "n_pair": NPair,
    "nt_xent": NTXent,
    "proxy_nca": ProxyNCA,
    "lifted_structure": LiftedStructure,
    "ranked_list": RankedList,
    "fast_ap": FastAP,
    "dsll": DSLL,
}


def new_loss(name: str, values: Mapping[str, Value] | None = None) -> RelevanceLoss:
    """The loss of that name; parameters that are not given have their defaults.

    Raises:
        InputError: there is no such loss or parameter, or a value is not allowed.
    """
    choice = relevance_choice(name)
    return LOSS_CLASSES[choice.name](**choice.values(values))
