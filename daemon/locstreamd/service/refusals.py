"""Who was not let in, or asked for what they may not: counted, and told a line a minute at most."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping

from locstream.stream.gate import Refusal
from locstreamd.wording import times

TOLD_EVERY_S = 60.0
"""One who keeps trying does so ten times a second."""
TOLD_AT_ONCE = 4
"""Kinds of refusals that a line names, the most frequent ones."""
REASONS = {
    "unknown key": "with a key that is not admitted",
    "role": "with a key whose role has no business there",
    "mechanism": "without a key",
    "handshake": "without a key, or with the key of another server",
    "request": "for something that their role may not",
}


class Refusals:
    """Gathers what the gates of this run or service have refused.

    Attributes
    ----------
    by_reason
        How many there were; the reasons are those of `locstream.stream.gate.Gate`.
    """

    def __init__(self) -> None:
        self.by_reason: Counter[str] = Counter()
        self._untold: Counter[Refusal] = Counter()
        self._told_at = -math.inf

    def add(self, found: Mapping[Refusal, int]) -> None:
        """Note refusals."""
        for refusal, count in found.items():
            self.by_reason[refusal.reason] += count
            self._untold[refusal] += count

    def take_sentence(self) -> str:
        """Return what was refused since the last time, in a sentence; "" where nothing was, or it is too soon."""
        now = time.monotonic()
        if not self._untold or now - self._told_at < TOLD_EVERY_S:
            return ""
        self._told_at = now
        told = self._untold.most_common(TOLD_AT_ONCE)
        rest = self._untold.total() - sum(count for _, count in told)
        self._untold.clear()
        return "refused: " + "; ".join([*(_words(*each) for each in told), *([f"{rest} others"] if rest else [])])


def _words(refusal: Refusal, count: int) -> str:
    who = f" by {refusal.who}" if refusal.who else ""
    return f"{refusal.domain}{who}, {REASONS.get(refusal.reason, refusal.reason)}, {times(count)}"
