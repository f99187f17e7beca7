"""A camera under Micro-Manager: what is set is used, and every refusal is one clear sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from locstream.errors import ConfigError, LocstreamError, SourceError
from locstreamd.record import adapters, camera_setup
from locstreamd.record.adapters import device_interface_of, find_adapters
from locstreamd.record.camera_setup import serial_number
from locstreamd.record.core_source import CoreSource
from locstreamd.record.micromanager import MicroManagerOptions, Roi, affordable_mb, open_micromanager
from locstreamd.record.mmcore import DEVICE_INTERFACE
from record_cameras import DEMO_CFG, read_all
from waiting import until

Open = Callable[..., CoreSource]


@pytest.fixture
def open_camera() -> Iterator[Open]:
    """Open a camera, closed at the end of the test."""
    opened: list[CoreSource] = []

    def open_it(config_file: Path = DEMO_CFG, **options: object) -> CoreSource:
        given = {"config_file": config_file, "buffer_mb": 16, **options}
        opened.append(open_micromanager(MicroManagerOptions.model_validate(given)))
        return opened[-1]

    yield open_it
    for source in opened:
        source.close()


@pytest.fixture
def cfg(tmp_path: Path) -> Callable[..., Path]:
    """Write a hardware configuration from its lines."""

    def write(*lines: str, camera: str = "Camera") -> Path:
        path = tmp_path / "scope.cfg"
        role = [f"Property,Core,Camera,{camera}"] if camera else []
        path.write_text("\n".join(["# a microscope", *lines, "Property,Core,Initialize,1", *role]) + "\n")
        return path

    return write


# --- what is set is used --------------------------------------------------------------------------


def test_the_demo_configuration_says_what_its_camera_is(open_camera: Open) -> None:
    info = open_camera(frames=3).info
    assert (info.camera, info.serial) == ("DemoCamera-MultiMode", "V1.0")
    assert (info.width, info.height, info.roi_x, info.roi_y) == (256, 256, 0, 0)
    assert (info.exposure_ms, info.bit_depth, info.frames) == (20, 16, 3)
    assert info.pixel_size_nm == pytest.approx(108)
    assert info.details["device"] == "Camera (DemoCamera/DCam)"
    assert info.details["configuration"] == str(DEMO_CFG)
    assert info.details["Camera.Mode"] == "Fluorescent Beads"
    assert {"Micro-Manager", "pymmcore", "pymmcore-plus"} <= info.details.keys()
    assert info.warnings == ()


def test_exposure_region_and_properties_reach_the_frames(open_camera: Open) -> None:
    source = open_camera(
        exposure_ms=2.5,
        roi=Roi(x=32, y=16, width=64, height=48),
        properties={"Camera": {"FastImage": 1, "Gain": -3}},
        frames=4,
    )
    info = source.info
    assert (info.roi_x, info.roi_y, info.width, info.height) == (32, 16, 64, 48)
    assert info.exposure_ms == 2.5
    assert info.details["Camera.Gain"] == "-3"
    source.start()
    frames = read_all(source)
    assert [frame.number for frame in frames] == [0, 1, 2, 3]
    assert all(frame.image.shape == (48, 64) and frame.image.dtype == np.uint16 for frame in frames)
    assert source.paced


def test_an_eight_bit_camera_is_known_as_such_and_gives_sixteen_bit_frames(open_camera: Open) -> None:
    source = open_camera(properties={"Camera": {"PixelType": "8bit", "FastImage": 1}}, frames=1, exposure_ms=1)
    assert source.info.bit_depth == 8
    source.start()
    (frame,) = read_all(source)
    assert frame.image.dtype == np.uint16


def test_a_pixel_size_and_an_exposure_that_are_not_known_are_none(open_camera: Open, cfg: Callable[..., Path]) -> None:
    info = open_camera(cfg("Device,Camera,DemoCamera,DCam"), properties={"Camera": {"Exposure": 0}}).info
    assert info.pixel_size_nm is None
    assert info.exposure_ms is None


def test_the_camera_may_be_named_where_there_are_several(open_camera: Open, cfg: Callable[..., Path]) -> None:
    two = cfg("Device,Left,DemoCamera,DCam", "Device,Right,DemoCamera,DCam", camera="")
    source = open_camera(two, camera="Right", properties={"Right": {"OnCameraCCDXSize": 64}})
    assert source.info.width == 64
    assert source.info.details["device"].startswith("Right ")


def test_a_larger_buffer_than_the_memory_allows_is_cut_and_said(open_camera: Open) -> None:
    (warning,) = open_camera(buffer_mb=10**9).info.warnings
    assert "instead of 1,000,000,000 MB" in warning


def test_the_buffer_takes_a_quarter_of_the_memory_at_most() -> None:
    gib = 2**30
    assert affordable_mb(4000, 64 * gib) == 4000
    assert affordable_mb(4000, 8 * gib) == 2048
    assert affordable_mb(1, 8 * gib) == 1
    assert affordable_mb(4000, 2**20) == 1


def test_micro_managers_own_log_is_written_where_it_is_wanted(open_camera: Open, tmp_path: Path) -> None:
    log = tmp_path / "core.log"
    open_camera(log_file=log)
    until(lambda: "DCam from DemoCamera" in log.read_text())  # the core writes from a thread of its own


def test_a_log_that_cannot_be_written_is_refused(open_camera: Open, tmp_path: Path) -> None:
    assert "cannot be written" in refusal(open_camera, ConfigError, log_file=tmp_path / "none" / "core.log")


@pytest.mark.parametrize(
    ("properties", "serial"),
    [
        ({"Serial Number": "X-00102", "CameraID": "no"}, "X-00102"),
        ({"CameraID": "S/N: 500123"}, "S/N: 500123"),
        ({"Camera Serial-Number": "77"}, "77"),
        ({"SerialNumber": "", "CameraID": "A1"}, "A1"),
        ({"SerialPort": "COM3", "Gain": "2"}, ""),
    ],
)
def test_the_serial_number_is_found_under_the_names_adapters_give_it(properties: dict[str, str], serial: str) -> None:
    assert serial_number(properties) == serial


# --- refusals -------------------------------------------------------------------------------------


def refusal(open_camera: Open, kind: type[LocstreamError], *given: Path, **options: object) -> str:
    with pytest.raises(kind) as raised:
        open_camera(*given, **options)
    assert type(raised.value) is kind
    return str(raised.value)


def test_a_configuration_that_is_not_there(open_camera: Open, tmp_path: Path) -> None:
    assert "no Micro-Manager configuration" in refusal(open_camera, ConfigError, tmp_path / "none.cfg")
    assert "no Micro-Manager configuration" in refusal(open_camera, ConfigError, tmp_path)


def test_an_adapter_that_is_not_installed_is_named_with_its_line(open_camera: Open, cfg: Callable[..., Path]) -> None:
    text = refusal(open_camera, ConfigError, cfg("Device,Camera,PVCAM,Camera-1"))
    assert "line 2: the device 'Camera' needs the adapter 'PVCAM'" in text
    assert "DemoCamera" in text
    assert "adapter_folder" in text


@pytest.mark.parametrize("line", ["Device,Camera,DemoCamera,NoSuchCamera", "Property,Camera,Gain,1", "Device,A"])
def test_what_micro_manager_refuses_is_told_in_its_words(
    line: str, open_camera: Open, cfg: Callable[..., Path]
) -> None:
    text = refusal(open_camera, SourceError, cfg(line))
    assert "could not load" in text
    assert line in text


@pytest.mark.parametrize(
    ("camera", "start"),
    [
        ("Iris", "there is no camera 'Iris'"),
        ("Wheel", "there is no camera 'Wheel'"),
        ("", "the configuration does not say which"),
    ],
)
def test_a_camera_that_is_not_there_is_refused_with_those_that_are(
    camera: str, start: str, open_camera: Open, cfg: Callable[..., Path]
) -> None:
    devices = cfg("Device,Left,DemoCamera,DCam", "Device,Right,DemoCamera,DCam", "Device,Wheel,DemoCamera,DWheel")
    devices.write_text(devices.read_text().replace("Core,Camera,Camera", "Core,Camera,"))
    text = refusal(open_camera, ConfigError, devices, camera=camera)
    assert text.startswith(start)
    assert "Left, Right" in text


def test_a_microscope_without_any_camera(open_camera: Open, cfg: Callable[..., Path]) -> None:
    text = refusal(open_camera, ConfigError, cfg("Device,Wheel,DemoCamera,DWheel", camera=""))
    assert "no camera is there at all" in text


def test_a_camera_that_joins_two_is_refused(open_camera: Open, cfg: Callable[..., Path]) -> None:
    both = cfg(
        "Device,Left,DemoCamera,DCam",
        "Device,Right,DemoCamera,DCam",
        "Device,Both,Utilities,Multi Camera",
        camera="",
    )
    text = refusal(
        open_camera,
        ConfigError,
        both,
        camera="Both",
        properties={"Both": {"Physical Camera 1": "Left", "Physical Camera 2": "Right"}},
    )
    assert "joins 2 cameras" in text


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ({"Kamera": {"Gain": 1}}, ["properties.Kamera", "no such device", "Camera"]),
        ({"Camera": {"EMGain": 1}}, ["properties.Camera.EMGain", "no such property", "Gain"]),
        ({"Camera": {"Gain": 99}}, ["properties.Camera.Gain = 99", "-5 … 8"]),
        ({"Camera": {"PixelType": "12bit"}}, ["properties.Camera.PixelType = '12bit'", "16bit"]),
        ({"Camera": {"CameraID": "mine"}}, ["can only be read", "'V1.0'"]),
        ({"Camera": {"MaximumExposureMs": 5}}, ["before the device is initialized", ".cfg"]),
    ],
)
def test_a_property_that_cannot_be_set(
    properties: dict[str, dict[str, object]], words: list[str], open_camera: Open
) -> None:
    text = refusal(open_camera, ConfigError, properties=properties)
    assert [word for word in words if word not in text] == []


def test_a_camera_that_stops_to_answer_while_it_is_set_up(open_camera: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> float:
        raise RuntimeError('Error in device "Camera":\n no reply')

    monkeypatch.setattr(camera_setup, "describe", fail)
    assert 'does not answer: Error in device "Camera":; no reply' in refusal(open_camera, SourceError)


def test_a_property_that_cannot_be_read_now_is_left_out_of_the_details(
    open_camera: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_camera()
    core = source._core
    read = core.getProperty

    def sometimes(device: str, name: str) -> str:
        if name == "CCDTemperature":
            raise RuntimeError("not while cooling")
        return read(device, name)

    with monkeypatch.context() as patched:
        patched.setattr(core, "getProperty", sometimes)
        details = camera_setup.describe(core).details
    assert "Camera.CCDTemperature" not in details
    assert "Camera.Gain" in details


def test_a_region_beside_the_chip(open_camera: Open) -> None:
    text = refusal(open_camera, ConfigError, roi=Roi(x=200, y=0, width=64, height=64))
    assert "not on the chip, which has 256 × 256 px" in text


@pytest.mark.parametrize(("pixel_type", "kind"), [("32bitRGB", "4 colours"), ("32bit", "32 bits")])
def test_pictures_in_colour_or_in_floating_point_are_refused(pixel_type: str, kind: str, open_camera: Open) -> None:
    text = refusal(open_camera, ConfigError, properties={"Camera": {"PixelType": pixel_type}})
    assert kind in text
    assert "16bit" in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"exposure_ms": 0},
        {"frames": 0},
        {"buffer_mb": 0},
        {"roi": {"x": -1, "y": 0, "width": 1, "height": 1}},
        {"binning": 2},
    ],
)
def test_options_out_of_bounds_are_refused_before_anything_is_opened(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        MicroManagerOptions.model_validate({"config_file": "a.cfg", **wrong})


def test_every_option_says_what_it_is() -> None:
    fields = {**MicroManagerOptions.model_fields, **Roi.model_fields}
    assert [name for name, field in fields.items() if not field.description] == []


# --- adapters -------------------------------------------------------------------------------------


def test_the_installed_adapters_speak_pymmcores_device_interface() -> None:
    folder = find_adapters()
    assert device_interface_of(folder) == DEVICE_INTERFACE
    assert find_adapters(folder) == folder


def test_adapters_for_another_device_interface_are_refused_with_both_numbers(
    open_camera: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapters, "DEVICE_INTERFACE", DEVICE_INTERFACE + 1)
    text = refusal(open_camera, SourceError)
    assert f"needs version {DEVICE_INTERFACE + 1}" in text
    assert f"has version {DEVICE_INTERFACE}" in text


def test_a_folder_without_adapters(open_camera: Open, tmp_path: Path) -> None:
    (tmp_path / "libmmgr_dal_Broken.so.0").write_bytes(b"\x7fELF and no more")
    (tmp_path / "libmmgr_dal_Notes.txt").write_text("not a library")
    assert device_interface_of(tmp_path) is None
    text = refusal(open_camera, SourceError, adapter_folder=tmp_path)
    assert "no Micro-Manager device adapters were found in" in text
    assert str(DEVICE_INTERFACE) in text


def test_the_folder_that_the_environment_names_is_the_only_one(
    open_camera: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROMANAGER_PATH", str(tmp_path))
    assert str(tmp_path) in refusal(open_camera, SourceError)
