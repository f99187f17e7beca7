"""Whatever the numbers: what goes out in another program's units comes back within the precision of float32."""

from __future__ import annotations

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from locstream.formats.picasso import from_picasso, kept_by_picasso, to_picasso
from locstream.formats.thunderstorm import ThunderStormWriter, read_thunderstorm
from locstream.localizations import FIELDS, LOCALIZATION, Localizations

EPS = float(np.finfo(np.float32).eps)
PIXEL_SIZES_NM = st.floats(1, 10_000)


@st.composite
def tables(draw: st.DrawFn) -> Localizations:
    """Up to 30 rows of lengths up to a metre and counts up to a billion, none subnormal."""
    n = draw(st.integers(0, 30))
    table = np.zeros(n, LOCALIZATION)
    for field in FIELDS:
        dtype = np.dtype(field.dtype)
        values = (
            st.floats(np.float32(1e-6), np.float32(1e9), width=32) | st.just(0.0)
            if dtype.kind == "f"
            else st.integers(0, int(np.iinfo(dtype).max))
        )
        table[field.name] = draw(hnp.arrays(dtype, n, elements=values))
    return table


@settings(deadline=None)
@given(tables(), PIXEL_SIZES_NM)
def test_picasso_and_back(table: Localizations, pixel_size_nm: float) -> None:
    back = from_picasso(to_picasso(table, pixel_size_nm), pixel_size_nm)
    for field in FIELDS:
        if field.unit == "nm":
            np.testing.assert_allclose(back[field.name], table[field.name], rtol=2 * EPS)
        else:
            np.testing.assert_array_equal(back[field.name], table[field.name])


@settings(deadline=None)
@given(tables(), PIXEL_SIZES_NM)
def test_positions_are_divided_in_double_precision(table: Localizations, pixel_size_nm: float) -> None:
    plain = [np.float32(float(x_nm) / pixel_size_nm) for x_nm in table["x_nm"]]
    assert to_picasso(table, pixel_size_nm)["x"].tolist() == plain


@settings(deadline=None)
@given(tables(), PIXEL_SIZES_NM, st.integers(1, 4096), st.integers(1, 4096))
def test_kept_is_what_a_plain_reading_of_picassos_rules_keeps(
    table: Localizations, pixel_size_nm: float, height: int, width: int
) -> None:
    rows = to_picasso(table, pixel_size_nm)
    plain = [
        all(np.isfinite(value) for value in row.item())
        and 0 <= row["x"] < width
        and 0 <= row["y"] < height
        and all(row[name] >= 0 for name in ("lpx", "lpy", "photons", "sx", "sy"))
        for row in rows
    ]
    assert kept_by_picasso(rows, height, width).tolist() == plain


@settings(max_examples=50, deadline=None)
@given(tables(), PIXEL_SIZES_NM, st.integers(0, 30))
def test_thunderstorm_and_back(table: Localizations, pixel_size_nm: float, cut: int) -> None:
    table["frame"] %= 2**32 - 1  # frames count from 1 there
    file = io.StringIO()
    writer = ThunderStormWriter(file, pixel_size_nm)
    writer.write(table[:cut])
    writer.write(table[cut:])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_text(file.getvalue())
        back = read_thunderstorm(path, pixel_size_nm)
    np.testing.assert_array_equal(back["frame"], table["frame"])
    for name in ("x_nm", "y_nm", "photons", "background"):
        np.testing.assert_allclose(back[name], table[name], rtol=EPS, atol=1e-4, err_msg=name)
    sigma = 0.5 * (table["sigma_x_nm"].astype(float) + table["sigma_y_nm"])
    np.testing.assert_allclose(back["sigma_x_nm"], sigma, rtol=EPS, atol=1e-4)
    np.testing.assert_array_equal(back["sigma_x_nm"], back["sigma_y_nm"])
