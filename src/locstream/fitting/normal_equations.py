"""The normal equations of a joint fit: summed over the pixels, solved for the step, inverted for the bounds.

With F the Fisher information and s the score, elimination brings F = L D Lᵀ to its diagonal D. What it does to the rows
of a matrix with ones on the diagonal makes of that M, the inverse of L; it takes the room below the diagonal, which
elimination empties. All that is wanted follows from D and M: the covariance of the results is Mᵀ D⁻¹ M. The score is
taken for one more row of F, whose row of M is then the step F⁻¹ s, up to the sign.

A matrix is small and there are many, and a loop of a few turns takes longer to begin and to end than to run. So rows
are taken a whole vector register at a time; what that reaches behind the score is never read.
"""

from __future__ import annotations

import numpy as np

from locstream.compiled import Doubles, Floats, U, apart, kernel
from locstream.fitting.buffers import STEP, aligned
from locstream.fitting.instructions import EIGHT, eliminate_eight

SUMS = 4
"""Sums over the pixels that are taken together."""


def room_for_equations(unknowns: int) -> Doubles:
    """Return room for a matrix with so many rows and one for the score; each row is whole registers."""
    made: Doubles = aligned((unknowns + 1, -(-(unknowns + SUMS) // EIGHT) * EIGHT), np.float64)
    return made


@apart
def sum_equations(size: int, n: int, derivative: Floats, weight: Floats, weighted: Floats, equations: Doubles) -> None:
    """Sum the Fisher information, its upper triangle, and behind it the score, over the pixels.

    The first `size` rows of `derivative` are those of the mean, the next holds the residuals. Four sums at a time fetch
    the weighted derivative once for all; what comes of rows past the residuals is never read.
    """
    padded = U((n + STEP - 1) // STEP) * U(STEP)
    for a in range(U(size)):
        for p in range(padded):
            weighted[p] = derivative[a, p] * weight[p]
        for b in range(a, U(size + 1), U(SUMS)):
            t0 = t1 = t2 = t3 = np.float32(0)
            for p in range(padded):
                t0 += weighted[p] * derivative[b, p]
                t1 += weighted[p] * derivative[b + U(1), p]
                t2 += weighted[p] * derivative[b + U(2), p]
                t3 += weighted[p] * derivative[b + U(3), p]
            equations[a, b], equations[a, b + U(1)] = t0, t1
            equations[a, b + U(2)], equations[a, b + U(3)] = t2, t3


@kernel
def eliminate(equations: Doubles, size: int) -> bool:
    """Eliminate; False where the matrix is not positive definite.

    Leaves D on the diagonal, below it what is below the diagonal of M, and as row `size` minus the step.
    """
    blocks = U(size + EIGHT) // U(EIGHT)
    for j in range(U(size)):
        if not equations[j, j] > 0:
            return False
        per_pivot = 1 / equations[j, j]
        for i in range(j + U(1), U(size + 1)):
            part = equations[j, i] * per_pivot
            for block in range(blocks):
                eliminate_eight(equations, i, block * U(EIGHT), part, j)
    return True


@kernel
def covariance(equations: Doubles, size: int, first: int, second: int) -> float:
    """Return the covariance of two results, `first` not behind `second`, from what `eliminate` has left.

    It is the variance where they are the same.
    """
    a, b = U(first), U(second)
    total: float = (1 if a == b else equations[b, a]) / equations[b, b]
    for i in range(b + U(1), U(size)):
        total += equations[i, a] * equations[i, b] / equations[i, i]
    return total
