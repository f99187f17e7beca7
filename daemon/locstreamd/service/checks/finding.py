"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from locstream.errors import LocstreamError


class Level(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, and something will be missing or may go wrong."""
    PROBLEM = "problem"
    """An acquisition would not start, or would not last."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Parameters
    ----------
    level
        How it ended.
    name
        What was looked at, in a word or two.
    found
        What was found, with values and units.
    todo
        What to do; "" where there is nothing to do, and never "" beside a warning or a problem.

    Raises
    ------
    ValueError
        A warning or a problem that does not say what to do.
    """

    level: Level
    name: str
    found: str
    todo: str = ""

    def __post_init__(self) -> None:
        if self.level is not Level.OK and not self.todo:
            raise ValueError(f"{self.name}: a {self.level} must say what to do")


def ok(name: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(Level.OK, name, found)


def warning(name: str, found: str, todo: str) -> Finding:
    """Return that it works, with a reservation."""
    return Finding(Level.WARNING, name, found, todo)


def problem(name: str, found: str, todo: str) -> Finding:
    """Return that it does not work."""
    return Finding(Level.PROBLEM, name, found, todo)


def refused(name: str, error: LocstreamError, level: Level = Level.PROBLEM) -> Finding:
    """Return what an error says, which is what the acquisition itself would say."""
    return Finding(level, name, error.what, error.todo or "correct what this names")
