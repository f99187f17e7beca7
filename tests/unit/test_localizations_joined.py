"""Tables are joined row by row, as numpy would join them field by field."""

from __future__ import annotations

import numpy as np
import pytest

from locstream.localizations import LOCALIZATION, LOCALIZATION_3D, empty, joined


@pytest.mark.parametrize("dtype", [LOCALIZATION, LOCALIZATION_3D])
def test_the_rows_are_those_of_numpy(dtype: np.dtype[np.void]) -> None:
    rng = np.random.default_rng(1)
    tables = [np.frombuffer(rng.bytes(n * dtype.itemsize), dtype) for n in (3, 0, 5, 1)]
    whole = joined(tables)
    assert whole.dtype == dtype
    assert whole.tobytes() == np.concatenate(tables).tobytes()
    assert joined([empty(0, dtype)]).shape == (0,)
    whole["frame"] = 7  # a table of its own
    assert tables[0].tobytes() == joined(tables[:1]).tobytes()


def test_tables_with_and_without_depth_are_not_joined() -> None:
    with pytest.raises(ValueError, match="with and without depth"):
        joined([empty(1), empty(1, LOCALIZATION_3D)])
