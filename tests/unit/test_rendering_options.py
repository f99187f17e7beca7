"""The settings of a picture: each has bounds and says its unit; none is ignored."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from locstream.rendering.colour import lookup_table
from locstream.rendering.options import RenderOptions


def test_the_defaults_are_what_the_documentation_promises() -> None:
    o = RenderOptions()
    assert (o.bin_nm, o.mode, o.colormap, o.contrast_percentile, o.scale_bar_nm) == (
        20,
        "gaussian",
        "hot",
        99.5,
        "auto",
    )


@pytest.mark.parametrize("field", RenderOptions.model_fields)
def test_every_setting_explains_itself(field: str) -> None:
    described = RenderOptions.model_fields[field].description
    assert described
    if field.endswith(("_nm", "_px")):
        assert field[-2:] in described


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bin_nm", 0),
        ("bin_nm", 1001),
        ("bin_nm", math.nan),
        ("bin_nm", math.inf),
        ("mode", "circles"),
        ("min_blur_nm", 0),
        ("max_blur_nm", 2000),
        ("colormap", "jet"),
        ("contrast_percentile", 0),
        ("contrast_percentile", 100.1),
        ("gamma", 0),
        ("gamma", math.nan),
        ("scale_bar_nm", 0),
        ("scale_bar_nm", "none"),
        ("preview_max_px", 100),
        ("bins_nm", 20),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        RenderOptions(**{field: value})


def test_blurs_out_of_order_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"min_blur_nm = 60\.0 nm is above max_blur_nm = 50\.0 nm"):
        RenderOptions(min_blur_nm=60, max_blur_nm=50)
    assert RenderOptions(min_blur_nm=50, max_blur_nm=50).min_blur_nm == 50


def test_options_are_frozen_and_go_through_json() -> None:
    o = RenderOptions(scale_bar_nm=500, colormap="magma")
    with pytest.raises(ValidationError, match="frozen"):
        o.bin_nm = 10
    assert RenderOptions.model_validate_json(o.model_dump_json()) == o
    assert RenderOptions.model_validate_json(RenderOptions().model_dump_json()) == RenderOptions()


def test_every_colormap_on_offer_exists() -> None:
    offered = RenderOptions.model_json_schema()["properties"]["colormap"]["enum"]
    assert len(offered) >= 5
    for colormap in offered:
        assert lookup_table(colormap).shape == (256, 3)
