"""What labels cost: one bit an answered pair, log2 C bits a class label."""

import math

from domain.errors import InputError


def class_label_bits(images: int, classes: int) -> float:
    """Bits that the class labels of some images cost.

    Args:
        images: how many images got a label.
        classes: C, among how many classes each was placed; at least 1 (one class costs nothing).

    Raises:
        InputError: a count is too small.

    Source: ANNEAL, section on annotation cost: log2 C bits a class label.
    """
    if images < 0 or classes < 1:
        raise InputError(
            f"{images} images of {classes} classes have no cost in bits.",
            "Give 0 or more images and 1 or more classes.",
        )
    return images * math.log2(classes)


def images_for_bits(bits: float, classes: int) -> int:
    """How many class labels a budget of bits buys: floor(bits / log2 C).

    Raises:
        InputError: fewer than two classes, where labels cost nothing; or a negative budget.
    """
    if classes < 2 or bits < 0:
        raise InputError(
            f"{bits} bits buy no class labels of {classes} classes.",
            "Give 0 or more bits and 2 or more classes.",
        )
    return int(bits / math.log2(classes) + 1e-9)  # 369 bits buy what 368.99999999999994 do
