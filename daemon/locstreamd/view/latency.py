"""How long frames take on their way: median and 99th percentile over the latest of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from locstream.stream.stages import Latency

LATEST = 20_000


class Latencies:
    """Times of the latest `LATEST` frames; constant memory.

    Parameters
    ----------
    latest
        How many are kept.
    """

    def __init__(self, latest: int = LATEST) -> None:
        self._ring = np.zeros(latest, np.float32)
        self._added = 0

    def add(self, seconds: npt.NDArray[np.float64]) -> None:
        """Take the times of some frames, s."""
        kept = seconds[-len(self._ring) :]
        places = (self._added + len(seconds) - len(kept) + np.arange(len(kept))) % len(self._ring)
        self._ring[places] = kept
        self._added += len(seconds)

    def percentiles(self) -> Latency | None:
        """Return median and 99th percentile, None before the first frame."""
        if not self._added:
            return None
        p50_s, p99_s = np.percentile(self._ring[: self._added], (50, 99))
        return Latency(p50_ms=1e3 * float(p50_s), p99_ms=1e3 * float(p99_s))
