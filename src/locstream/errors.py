"""Errors for the person at the microscope: what happened, what is safe, what to do next."""

from __future__ import annotations


class LocstreamError(Exception):
    """Something the user can act on; shown as text, never as a traceback.

    Parameters
    ----------
    what
        What happened, with the value and its unit.
    safe
        What is safe on disk, or "" where nothing was at stake.
    todo
        What to do next.
    """

    def __init__(self, what: str, *, safe: str = "", todo: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.safe = safe
        self.todo = todo

    def __str__(self) -> str:
        parts = [self.what]
        if self.safe:
            parts.append(f"  Safe: {self.safe}")
        if self.todo:
            parts.append(f"  Next: {self.todo}")
        return "\n".join(parts)


class SourceError(LocstreamError):
    """The camera or the stack stopped giving frames although nobody asked it to."""


class StackError(LocstreamError):
    """A file or folder is not a stack of frames that can be read."""


class ResultsError(LocstreamError):
    """A results file cannot be written, read or repaired."""


class ConfigError(LocstreamError):
    """A configuration is wrong: the key, the value, and what would be right."""


class MessageError(LocstreamError):
    """Bytes that came over the wire are not a message of this protocol."""
