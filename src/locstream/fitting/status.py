"""How a fit ended."""

from __future__ import annotations

from enum import IntEnum


class FitStatus(IntEnum):
    """The value of the column ``status``."""

    CONVERGED = 0
    """What was left of the way was below the tolerance."""
    AT_BOUND = 1
    """Position, width or photons ended at the limit of what the box can tell."""
    NOT_CONVERGED = 2
    """More than the tolerance was left after the last step allowed."""
    BAD_DATA = 3
    """A pixel of the box is saturated, or the fit gave a number that is not finite."""
