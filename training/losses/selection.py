"""How losses choose among the images of a batch, alike on every machine.

Scores are rounded before they are compared, so that images in the same geometry are not told apart
by rounding noise; among equals the lower row comes first. Nothing here has a gradient.
"""

import torch
from torch import Tensor

from domain.vectors import QUANTUM_DECIMALS


def sort_keys(values: Tensor) -> Tensor:
    """The values as float64, rounded to 1e-9, without gradient; the same shape."""
    return values.detach().double().round(decimals=QUANTUM_DECIMALS)


def lowest_columns(values: Tensor, allowed: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The columns of each row with the lowest values, lowest first, ties by column.

    Args:
        values: [A, B].
        allowed: [A, B] bool, the columns to choose from.
        count: how many to choose.

    Returns:
        [A, K] columns and [A, K] bool whether there is one, K = min(count, B). Where a row has
        fewer, the rest are columns that must not be used.
    """
    keys = sort_keys(values).masked_fill(~allowed, torch.inf)
    columns = torch.argsort(keys, dim=1, stable=True)[:, :count]
    return columns, allowed.gather(1, columns)


def nearest_of_each_group(distances: Tensor, allowed: Tensor, groups: Tensor) -> Tensor:
    """[A, B] bool: of each row's allowed columns, the nearest of every group, ties by column.

    Args:
        distances: [A, B].
        allowed: [A, B] bool.
        groups: [B] group of each column, 0…B-1.
    """
    rows, columns = distances.shape
    keys = sort_keys(distances).masked_fill(~allowed, torch.inf)
    order = torch.argsort(keys, dim=1, stable=True)
    place = torch.arange(columns, device=order.device).expand(rows, -1)  # in the order
    first = torch.full((rows, columns), columns, device=order.device)  # of each group
    first.scatter_reduce_(1, groups[order], place, "amin")
    is_first = first.gather(1, groups[order]) == place
    return torch.zeros_like(allowed).scatter_(1, order, is_first) & allowed


def linked_groups(similar: Tensor) -> Tensor:
    """[B] the group of each row, named by its lowest row: rows joined by chains of similar ones.

    Args:
        similar: [B, B] bool, symmetric. A row similar to none is a group of its own.
    """
    size = len(similar)
    groups = torch.arange(size, device=similar.device)
    linked = similar | torch.eye(size, dtype=torch.bool, device=similar.device)
    while size:
        lowest = torch.where(linked, groups, size).amin(1)
        lowest = lowest[lowest]
        if torch.equal(lowest, groups):
            break
        groups = lowest
    return groups
