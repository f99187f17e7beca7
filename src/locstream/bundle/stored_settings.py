"""Settings as a results file keeps them."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from locstream.errors import ResultsError
from locstream.results.header import ResultsHeader
from locstream.settings import Settings, what_is_wrong

S = TypeVar("S", bound=Settings)


def stored_settings(kind: type[S], values: object, header: ResultsHeader) -> S:
    """Return options as the header keeps them.

    Raises
    ------
    ResultsError
        Another version wrote them, and this one does not know them.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ResultsError(
            f"this version of locstream does not know the {kind.__name__} of {header.name}: "
            f"{'; '.join(what_is_wrong(error, kind))}",
            safe="every file as it is",
            todo=f"recover it with the program that made it, {header.software}",
        ) from error
