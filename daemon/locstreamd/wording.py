"""Numbers in sentences."""

from __future__ import annotations


def times(count: int) -> str:
    """Return how often something happened, in words."""
    return "once" if count == 1 else f"{count:,} times"
