"""Rows as other libraries' tables. None of them is needed otherwise."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from locstream.errors import LocstreamError
from locstream.localizations import Localizations


def to_pandas(table: Localizations) -> Any:
    """Return rows as a `pandas.DataFrame`, a column each, units in the names.

    Raises
    ------
    LocstreamError
        pandas is not installed.
    """
    return _library("pandas").DataFrame({name: table[name] for name in table.dtype.names or ()})


def to_arrow(table: Localizations) -> Any:
    """Return rows as a `pyarrow.Table`, a column each, units in the names.

    Raises
    ------
    LocstreamError
        pyarrow is not installed.
    """
    return _library("pyarrow").table({name: table[name] for name in table.dtype.names or ()})


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise LocstreamError(f"{name} is not installed", todo=f"`pip install {name}`") from error
