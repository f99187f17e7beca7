"""Options are checked before a frame is looked at."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from locstream.fitting import FitOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 1.0},
        {"threshold": float("nan")},
        {"psf_sigma_nm": 0.0},
        {"psf_sigma_nm": float("inf")},
        {"box_px": 6},
        {"box_px": 3},
        {"box_px": 17},
        {"min_separation_px": 0},
        {"gradient": 400},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        FitOptions.model_validate(wrong)


def test_an_even_box_is_told_what_would_do() -> None:
    with pytest.raises(ValidationError, match="needs a middle pixel: 5, 7"):
        FitOptions(box_px=8)


def test_every_option_says_its_unit_and_meaning() -> None:
    for name, field in FitOptions.model_fields.items():
        assert field.description, name
        if name.endswith(("_nm", "_px")):
            assert name.rsplit("_", 1)[1] in field.description
