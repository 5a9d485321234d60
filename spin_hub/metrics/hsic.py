"""Normalised HSIC: how much two sets of paired vectors depend on each other, and what chance would give.

Settings: Gaussian kernels ``exp(-|x - y|^2 / (2 s^2))``, ``s^2`` the median squared distance of different vectors, and
the biased estimator ``tr(K H L H)``, divided by the root of ``tr(K H K H) tr(L H L H)``: 0 to 1, whatever the scale.
Baseline: the mean over all ways to pair the vectors, which has a closed form: with A = H K H and B = H L H,
``tr(A) tr(B) / (n - 1)``, normalised likewise. With vectors of many dimensions chance alone gives much; only what lies
above it is due to the pairing.
Source: A. Gretton et al., "Measuring statistical dependence with Hilbert-Schmidt norms", ALT (2005); normalised as in
S. Kornblith et al., "Similarity of neural network representations revisited", ICML (2019), section 3.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Dependence:
    """The normalised HSIC of two sets of vectors, and the mean over all pairings of them."""

    value: float
    chance: float


def kernel(vectors: NDArray[np.floating]) -> Matrix:
    """The Gaussian kernel of every two vectors.

    Args:
        vectors: shape (n, d), n at least 2.

    Returns:
        float64, shape (n, n); all ones where all vectors are the same.
    """
    wide = np.asarray(vectors, np.float64)
    # Distances do not change with the origin; near the mean, the subtraction below loses the fewest digits.
    wide = wide - wide.mean(axis=0)
    squares = np.einsum("nd,nd->n", wide, wide)
    distances = np.maximum(squares[:, None] + squares[None, :] - 2 * wide @ wide.T, 0)
    np.fill_diagonal(distances, 0)
    width = float(np.median(distances[np.triu_indices(len(wide), 1)]))
    similar: Matrix = np.exp(-distances / (2 * width)) if width > 0 else np.ones_like(distances)
    return similar


def hsic(first: Matrix, second: Matrix) -> Dependence:
    """The normalised HSIC of two kernels over the same n pairs, both of shape (n, n).

    Raises:
        ValueError: other shapes, or fewer than three pairs.
    """
    if first.shape != second.shape or first.shape[0] != first.shape[1] or len(first) < 3:
        raise ValueError("HSIC needs two square kernels over the same three or more pairs")
    a, b = _centred(first), _centred(second)
    scale = math.sqrt(float(np.sum(a * a)) * float(np.sum(b * b)))
    if scale == 0:
        return Dependence(0.0, 0.0)
    chance = float(np.trace(a)) * float(np.trace(b)) / (len(a) - 1)
    return Dependence(float(np.sum(a * b)) / scale, chance / scale)


def _centred(matrix: Matrix) -> Matrix:
    rows = matrix - matrix.mean(axis=0, keepdims=True)
    centred: Matrix = rows - rows.mean(axis=1, keepdims=True)
    return centred
