"""What a results file says of its acquisition, to us, to Picasso and to PYME."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from bead_stacks import lens
from locstream import __version__
from locstream.calibration import CameraCalibration
from locstream.results.header import CalibrationSummary, ResultsHeader
from locstream.stacks.source import SourceInfo
from results_example import HEIGHT, PIXEL_SIZE_NM, WIDTH, header

INFO = SourceInfo(
    camera="iXon",
    width=WIDTH,
    height=HEIGHT,
    serial="X-123",
    frames=1000,
    pixel_size_nm=99.0,
    exposure_ms=20.0,
    interval_ms=21.5,
    bit_depth=14,
    roi_x=10,
    roi_y=20,
    details={"Gain": "300"},
)
CALIBRATION = CameraCalibration(
    pixel_size_nm=PIXEL_SIZE_NM,
    offset_adu=np.arange(HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH),
    gain_e_per_adu=4.5,
    read_noise_e=12.0,
    em_gain=300.0,
    quantum_efficiency=0.9,
)


def full() -> ResultsHeader:
    return ResultsHeader.from_source(
        INFO,
        CALIBRATION,
        acquisition_id="id",
        name="n",
        started_s=1.5,
        fit={"box_px": 7},
        config={"a": {"b": [1, None]}},
    )


def test_a_header_survives_json() -> None:
    assert ResultsHeader.model_validate_json(full().model_dump_json()) == full()
    assert ResultsHeader.model_validate_json(json.dumps(full().as_dict())) == full()


def test_the_pixel_size_is_the_one_the_fit_used() -> None:
    assert full().pixel_size_nm == PIXEL_SIZE_NM


def test_everything_the_source_says_is_kept() -> None:
    made = full()
    for name in ("camera", "serial", "width", "height", "exposure_ms", "interval_ms", "bit_depth", "roi_x", "roi_y"):
        assert getattr(made, name) == getattr(INFO, name), name
    assert made.frames_expected == 1000
    assert made.source == {"Gain": "300"}
    assert made.config == {"a": {"b": [1, None]}}
    assert made.software == f"locstream {__version__}"


def test_maps_are_told_by_their_median_and_their_names() -> None:
    summary = CalibrationSummary.of(CALIBRATION)
    assert summary.offset_adu == pytest.approx((HEIGHT * WIDTH - 1) / 2)
    assert summary.gain_e_per_adu == 4.5
    assert summary.maps == ("offset_adu",)
    assert summary.digest == CALIBRATION.digest()
    assert summary.excess_noise_squared == 2


@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"height": -1}, {"pixel_size_nm": 0.0}, {"pixel_size_nm": float("nan")}, {"acquisition_id": ""}],
)
def test_a_header_that_no_file_could_have_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        header(**wrong)


def test_what_a_later_version_added_is_passed_over() -> None:
    text = json.dumps(header().as_dict() | {"from_the_future": 1})
    assert ResultsHeader.model_validate_json(text) == header()


def test_picasso_finds_what_it_needs_and_the_rest_is_under_one_key() -> None:
    movie, localize = full().documents(321, {"ledger": {"acquired": 4}})
    assert (movie["Width"], movie["Height"], movie["Frames"], movie["Pixelsize"]) == (WIDTH, HEIGHT, 321, PIXEL_SIZE_NM)
    assert movie["Camera"] == "iXon"
    assert localize["Pixelsize"] == PIXEL_SIZE_NM
    assert localize["locstream"]["header"] == full().as_dict()
    assert localize["locstream"]["summary"] == {"ledger": {"acquired": 4}}
    assert localize["locstream"]["origin"] == "centre of pixel (0, 0)"
    assert json.loads(json.dumps([movie, localize])) == [movie, localize]


def test_pyme_gets_micrometres_seconds_and_both_ways_of_counting() -> None:
    tree = full().pyme()
    assert tree[""]["StartTime"] == 1.5
    assert tree["voxelsize"] == {"x": pytest.approx(0.13), "y": pytest.approx(0.13), "units": "um"}
    camera = tree["Camera"]
    assert camera["IntegrationTime"] == pytest.approx(0.02)
    assert camera["CycleTime"] == pytest.approx(0.0215)
    assert (camera["ROIOriginX"], camera["ROIPosX"], camera["ROIOriginY"], camera["ROIPosY"]) == (10, 11, 20, 21)
    assert (camera["ROIWidth"], camera["ROIHeight"]) == (WIDTH, HEIGHT)
    assert camera["NoiseFactor"] == pytest.approx(2**0.5)
    assert (camera["ElectronsPerCount"], camera["TrueEMGain"], camera["ReadNoise"]) == (4.5, 300, 12)


def test_pyme_is_told_nothing_that_is_not_known() -> None:
    camera = header(camera="").pyme()["Camera"]
    assert not {"Name", "IntegrationTime", "CycleTime", "ADOffset"} & set(camera)


def test_it_says_which_file_the_calibration_came_from_and_how_wide_fits_run(tmp_path: Path) -> None:
    known = ResultsHeader.from_source(
        INFO, CALIBRATION, acquisition_id="id", name="n", started_s=1.5, calibration_file=tmp_path / "c.h5", lanes=16
    )
    assert (known.calibration_file, known.lanes) == (str(tmp_path / "c.h5"), 16)
    assert (full().calibration_file, full().lanes, full().depth) == ("", 0, False)


def test_what_gives_depth_is_in_it_whole() -> None:
    known = ResultsHeader.from_source(
        INFO, CALIBRATION, acquisition_id="id", name="n", started_s=1.5, astigmatism=(through := lens())
    )
    assert known.depth
    back = ResultsHeader.model_validate_json(known.model_dump_json())
    assert type(through).model_validate(back.astigmatism) == through
