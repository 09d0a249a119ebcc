"""Images that are each other's nearest: most likely similar, before anybody is asked.

With the weights of ImageNet, 94 of 100 nearest neighbours of aerial images are of the same class;
where both images choose each other, more. That is a hint for images without answers, never a
known relation: an answer beats it.
"""

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from torch import Tensor

_BLOCK_ROWS = 1024  # cosines of so many images with all others at a time


def mutual_neighbours(vectors: Tensor, count: int) -> csr_array:
    """[N, N] symmetric: 1 where two images are among the nearest `count` of each other.

    Args:
        vectors: [N, D] unit vectors.
        count: how many neighbours an image has; 0 gives an empty matrix.
    """
    images = len(vectors)
    count = min(count, images - 1)
    if count < 1:
        return csr_array((images, images), dtype=np.float32)
    nearest = np.concatenate(
        [_nearest(vectors, start, count) for start in range(0, images, _BLOCK_ROWS)]
    )
    rows = np.repeat(np.arange(images), count)
    ones = np.ones(len(rows), dtype=np.float32)
    chosen = coo_array((ones, (rows, nearest.ravel())), shape=(images, images)).tocsr()
    return csr_array(chosen.multiply(chosen.T))


def _nearest(
    vectors: Tensor, start: int, count: int
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """[b, count] the most alike other images of a block of images."""
    cosines = vectors[start : start + _BLOCK_ROWS] @ vectors.T
    own = torch.arange(len(cosines), device=cosines.device)
    cosines[own, start + own] = -torch.inf
    return np.asarray(cosines.topk(count, dim=1).indices.cpu().numpy(), dtype=np.int64)
