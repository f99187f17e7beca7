"""What a benchmark should come to, beside what it came to."""

from __future__ import annotations

from typing import NamedTuple

from contest import table


class Aim(NamedTuple):
    """One figure of a run and the limit that was set for it; compared as printed, to so many digits."""

    what: str
    value: float
    limit: float
    at_least: bool
    digits: int = 3

    @property
    def reached(self) -> bool:
        """Whether the figure is on the right side of the limit."""
        value = round(self.value, self.digits)
        return value >= self.limit if self.at_least else value <= self.limit


def aims_table(aims: list[Aim]) -> str:
    """Return one row an aim."""

    def row(aim: Aim) -> list[str]:
        limit = f"{'≥' if aim.at_least else '≤'} {aim.limit:.{aim.digits}f}"
        return [aim.what, limit, f"{aim.value:.{aim.digits}f}", "reached" if aim.reached else "**missed**"]

    return table(["aim", "limit", "this run", ""], [row(aim) for aim in aims])
