"""The base of every settings model: frozen, and nothing in it is ignored."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen group of settings. A key it does not know is refused; every field's docstring names its unit."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True)
