"""What a client tells of the acquisitions that it follows."""

from __future__ import annotations

from dataclasses import dataclass

from locstream.localizations import Localizations
from locstream.stream.messages import End, Hello


@dataclass(frozen=True)
class Began:
    """The rows to come are of this acquisition. `hello` is None where it was not heard."""

    acquisition: str
    hello: Hello | None


@dataclass(frozen=True, eq=False)
class Rows:
    """The next rows: number `row_first` and those after it."""

    acquisition: str
    row_first: int
    table: Localizations


@dataclass(frozen=True)
class Ended:
    """Nothing follows of this acquisition.

    Parameters
    ----------
    acquisition
        Its id.
    rows
        Rows up to its end, those before the joining included.
    missing
        Rows that were skipped because nobody could give them.
    digest
        SHA-256 of the rows that were given.
    end
        What the acquisition said of its end, None where that was not heard.
    whole
        Whether all rows from 0 on were given.
    """

    acquisition: str
    rows: int
    missing: int
    digest: str
    end: End | None
    whole: bool

    @property
    def verified(self) -> bool | None:
        """Whether the rows that were given are those that were published; None where it cannot be told."""
        if self.end is None or not self.end.digest or not self.whole:
            return None
        return self.digest == self.end.digest


Event = Began | Rows | Ended
