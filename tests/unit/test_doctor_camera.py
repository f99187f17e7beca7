"""The doctor's looks at a camera: opened, heard and closed, never started."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from locstream.errors import SourceError
from locstream.stacks.source import SourceInfo
from locstream.stream.runtime import Connection
from locstreamd.record import adapters
from locstreamd.record.micromanager import MicroManagerOptions
from locstreamd.service.cameras import Fallback
from locstreamd.service.checks import camera
from locstreamd.service.checks.camera import (
    Demand,
    check_adapters,
    check_buffer,
    check_calibration,
    demand_of,
    open_camera,
)
from locstreamd.service.checks.finding import Level
from locstreamd.service.config import CameraSettings, Config
from locstreamd.service.sources import Opened

INFO = SourceInfo(camera="Prime", serial="A7", width=2048, height=1024, exposure_ms=10.0)
WITH_CAMERA = Config.model_validate({"micromanager": {"config_file": "scope.cfg"}})
WITHOUT = Config.model_validate({"simulation": {}})
RUNNING = Connection(acquisition="a", name="cell4", pid=4711, started_s=0.0, control="c", stream="s")


class Source:
    """Counts what is done to it."""

    def __init__(self, info: SourceInfo) -> None:
        self.info = info
        self.done: list[str] = []

    def start(self) -> None:
        self.done.append("started")

    def close(self) -> None:
        self.done.append("closed")


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Source]:
    """Return a function that puts a source behind every configuration."""

    def put(info: SourceInfo) -> Source:
        source = Source(info)
        monkeypatch.setattr(camera, "open_source", lambda config: Opened(source, None))
        return source

    return put


@pytest.mark.parametrize(
    ("interval_ms", "exposure_ms", "frames_per_s"), [(20.0, 10.0, 50.0), (None, 10.0, 100.0), (None, None, None)]
)
def test_the_rate_is_the_intervals_before_the_exposures(
    interval_ms: float | None, exposure_ms: float | None, frames_per_s: float | None
) -> None:
    info = SourceInfo(camera="c", width=100, height=50, interval_ms=interval_ms, exposure_ms=exposure_ms)
    demand = demand_of(info)
    assert demand == Demand(100, 50, frames_per_s)
    assert demand.frame_bytes == 10_000
    assert demand.bytes_per_s == (None if frames_per_s is None else 10_000 * frames_per_s)


def test_a_camera_that_answers_is_closed_and_was_never_started(opens: Callable[..., Source]) -> None:
    source = opens(INFO)
    found = open_camera(WITH_CAMERA, [])
    assert found.finding.level is Level.OK
    assert found.finding.found == "'Prime' (serial A7) answers: 2048 × 1024 px at 100 frames/s, exposure 10 ms"
    assert found.info == INFO
    assert source.done == ["closed"], "a sequence would open the shutter"


def test_a_simulation_is_called_one(opens: Callable[..., Source]) -> None:
    opens(SourceInfo(camera="sim", width=64, height=64))
    found = open_camera(WITHOUT, [RUNNING])
    assert found.finding.found == "'sim' is simulated: 64 × 64 px at an unknown rate, exposure unknown"


def test_what_the_camera_did_not_take_is_a_warning(opens: Callable[..., Source]) -> None:
    opens(SourceInfo(camera="c", width=64, height=64, warnings=("exposure_ms: 1 ms was asked for, it uses 2 ms",)))
    finding = open_camera(WITH_CAMERA, []).finding
    assert finding.level is Level.WARNING
    assert "it uses 2 ms" in finding.found


def test_a_camera_that_does_not_answer_is_a_problem_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: Config) -> Opened:
        raise SourceError("the camera does not answer", todo="switch it on")

    monkeypatch.setattr(camera, "open_source", fail)
    found = open_camera(WITH_CAMERA, [])
    assert (found.finding.level, found.finding.todo, found.info) == (Level.PROBLEM, "switch it on", None)


def test_a_camera_that_may_be_held_is_left_alone(opens: Callable[..., Source]) -> None:
    source = opens(INFO)
    found = open_camera(WITH_CAMERA, [RUNNING])
    assert found.finding.level is Level.WARNING
    assert "cell4 runs (process 4711)" in found.finding.found
    assert source.done == []


# --- buffer


@pytest.mark.parametrize(
    ("buffer_mb", "frames_per_s", "level"),
    [(1000, 100.0, Level.OK), (100, 100.0, Level.OK), (99, 100.0, Level.WARNING), (20, 100.0, Level.WARNING),
     (19, 100.0, Level.PROBLEM), (1, 1000.0, Level.PROBLEM), (1000, None, Level.WARNING)],
)  # fmt: skip
def test_the_buffer_is_told_in_seconds(
    monkeypatch: pytest.MonkeyPatch, buffer_mb: int, frames_per_s: float | None, level: Level
) -> None:
    """A frame of 512 × 1024 px is 1 MB."""
    monkeypatch.setattr(camera, "affordable_mb", lambda wanted, memory: wanted)
    options = MicroManagerOptions(config_file=Path("a.cfg"), buffer_mb=buffer_mb)
    finding = check_buffer(options, Demand(512, 1024, frames_per_s))
    assert finding.level is level
    if frames_per_s is not None:
        assert f"{buffer_mb:,} MB hold {buffer_mb / frames_per_s:.3g} s: {buffer_mb:,} frames" in finding.found
    if level is not Level.OK and frames_per_s is not None:
        assert f"buffer_mb = {int(frames_per_s) + 1:,} or more" in finding.todo


def test_the_buffer_is_as_large_as_the_memory_affords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "affordable_mb", lambda wanted, memory: 7)
    options = MicroManagerOptions(config_file=Path("a.cfg"), buffer_mb=1000)
    assert check_buffer(options, Demand(512, 1024, 1.0)).found.startswith("7 MB hold 7 s")


# --- calibration


def test_a_calibrated_camera() -> None:
    config = Config(camera=(CameraSettings(name="Prime", pixel_size_nm=110.0, offset_adu=100.0),))
    finding = check_calibration(config, INFO, None)
    assert finding.level is Level.OK
    assert "a pixel is 110 nm" in finding.found


def test_a_camera_without_calibration_is_a_warning() -> None:
    fallback = Fallback(CameraSettings(pixel_size_nm=100.0), "photons are ADU")
    finding = check_calibration(Config(), INFO, fallback)
    assert finding.level is Level.WARNING
    assert "no calibration for the camera 'Prime' (serial A7): photons are ADU" in finding.found
    assert "calibrate-camera" in finding.todo


def test_a_camera_whose_pixel_size_nobody_knows_is_a_problem() -> None:
    finding = check_calibration(Config(), INFO, None)
    assert finding.level is Level.PROBLEM
    assert "pixel size" in finding.found


# --- Micro-Manager


def test_the_adapters_of_the_demo_match() -> None:
    finding = check_adapters(None)
    assert finding.level is Level.OK
    assert "device interface" in finding.found
    assert "pymmcore " in finding.found


@pytest.mark.parametrize(("configured", "level"), [(True, Level.PROBLEM), (False, Level.WARNING)])
def test_missing_adapters_are_a_problem_where_a_camera_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: bool, level: Level
) -> None:
    monkeypatch.setenv("MICROMANAGER_PATH", str(tmp_path))
    finding = check_adapters(MicroManagerOptions(config_file=Path("a.cfg")) if configured else None)
    assert finding.level is level
    assert "no Micro-Manager device adapters were found" in finding.found


def test_adapters_of_another_interface_are_told_with_both_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "device_interface_of", lambda folder: 1)
    finding = check_adapters(MicroManagerOptions(config_file=Path("a.cfg"), adapter_folder=tmp_path))
    assert finding.level is Level.PROBLEM
    assert f"needs version {adapters.DEVICE_INTERFACE}" in finding.found
    assert "has version 1" in finding.found
