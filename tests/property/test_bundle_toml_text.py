"""Whatever plain values are written as TOML, Python's own reader gives them back."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from locstream.bundle.toml_text import toml_text

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
PLAIN = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    TEXT,
    st.sampled_from(["\x7f", "\n", '"', "\\", "# no"]),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(PLAIN, st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=4)),
    max_leaves=20,
)


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_none(inner) for inner in value if inner is not None]
    return value


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_what_is_written_is_read_back(values: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(values)) == without_none(values)
