"""The base of every settings model: frozen, and nothing in it is ignored; and what is told of values that are wrong."""

from __future__ import annotations

import difflib
import reprlib
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 100


class Settings(BaseModel):
    """A frozen group of settings. A key it does not know is refused; every field's docstring names its unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)


def what_is_wrong(error: ValidationError, model: type[BaseModel], table: str = "") -> list[str]:
    """Return a sentence for each value that was refused: the key, the value, and what would be right.

    Parameters
    ----------
    error
        What the validation of `model` has raised.
    model
        What the values were to be.
    table
        Name of the table in which they stand, if any.
    """
    return [_sentence(detail, model, table) for detail in error.errors()]


def model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the settings model inside an annotation such as ``tuple[X, ...]`` or ``X | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (tuple, Union, UnionType):
        return next((m for a in get_args(annotation) if (m := model_in(a)) is not None), None)
    return None


def _sentence(detail: ErrorDetails, model: type[BaseModel], table: str) -> str:
    place = ".".join(str(part) for part in ((table,) if table else ()) + detail["loc"])
    message = detail["msg"].removeprefix("Value error, ")
    match detail["type"]:
        case "extra_forbidden":
            names = list(_model_at(model, detail["loc"][:-1]).model_fields)
            near = difflib.get_close_matches(str(detail["loc"][-1]), names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(names)}"
            return f"{place}: there is no such setting; {hint}"
        case "tuple_type" if _model_at(model, detail["loc"]) is not _model_at(model, detail["loc"][:-1]):
            return f"{place}: write [[{place}]], in double brackets, for each entry"
        case "tuple_type":
            return f"{place} = {_SHORT.repr(detail['input'])}: write a list, in brackets"
        case _ if not place:
            return message
        case "missing":
            return f"{place} is missing"
        case "value_error":
            return f"{place}: {message}"
    return f"{place} = {_SHORT.repr(detail['input'])}: {message[0].lower()}{message[1:]}"


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model in which the settings at a place are."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = model_in(field.annotation) or model
    return model
