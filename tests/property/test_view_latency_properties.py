"""The ring of latencies tells the same as the list of all of them, however they come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from locstreamd.view.latency import Latencies

seconds = st.floats(min_value=0.0, max_value=1000.0, width=32)


@given(batches=st.lists(st.lists(seconds, max_size=30), max_size=12), latest=st.integers(1, 40))
def test_the_percentiles_are_those_of_the_latest(batches: list[list[float]], latest: int) -> None:
    ring = Latencies(latest)
    for batch in batches:
        ring.add(np.asarray(batch, np.float64))
    kept = [value for batch in batches for value in batch][-latest:]
    found = ring.percentiles()
    if not kept:
        assert found is None
        return
    assert found is not None
    p50_s, p99_s = np.percentile(np.asarray(kept, np.float32), (50, 99))
    assert (found.p50_ms, found.p99_ms) == (pytest.approx(1e3 * float(p50_s)), pytest.approx(1e3 * float(p99_s)))
    assert found.p50_ms <= found.p99_ms
