"""``locstream run`` from a Micro-Manager configuration: the demo camera and the sequence tester."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tifffile

from locstream.results.reader import read_results
from locstream.stacks.source import Frame
from record_cameras import serial_of

pytestmark = pytest.mark.system

DEMO = """
Property,Core,Initialize,0
Device,Camera,DemoCamera,DCam
Property,Core,Initialize,1
Property,Core,Camera,Camera
Property,Camera,Mode,Noise
Property,Camera,PixelType,16bit
Property,Camera,OnCameraCCDXSize,64
Property,Camera,OnCameraCCDYSize,48
Property,Camera,FastImage,1
"""

TESTER = """
Property,Core,Initialize,0
Device,THub,SequenceTester,THub
Device,TCamera,SequenceTester,TCamera-0
Property,TCamera,ImageMode,MachineReadable
Property,TCamera,ImageWidth,128
Property,TCamera,ImageHeight,128
Parent,TCamera,THub
Property,Core,Initialize,1
Property,Core,Camera,TCamera
"""


def settings(frames: int) -> str:
    return f"""
[acquisition]
name = "cell1"
folder = "data"
[micromanager]
config_file = "scope.cfg"
exposure_ms = 2.0
frames = {frames}
[[camera]]
pixel_size_nm = 130.0
offset_adu = 100.0
"""


def test_the_demo_camera_is_recorded_and_fitted(tmp_path: Path, locstream: Callable[..., object]) -> None:
    (tmp_path / "scope.cfg").write_text(DEMO)
    (tmp_path / "scope.toml").write_text(settings(150))
    run = locstream("run", "scope.toml")
    assert run.finish() == 0, run.err
    summary = json.loads((tmp_path / "data" / "cell1_summary.json").read_text())
    assert summary["frames"]["acquired"] == summary["frames"]["fitted"] == 150
    with tifffile.TiffFile(tmp_path / "data" / "cell1.ome.tif") as stack:
        assert stack.series[0].shape == (150, 48, 64)
        assert 'PhysicalSizeX="0.13"' in (stack.ome_metadata or "")


def test_every_numbered_frame_is_in_the_stack_once_and_in_order(
    tmp_path: Path, locstream: Callable[..., object]
) -> None:
    """The sequence tester writes a serial number into the pixels of every frame."""
    (tmp_path / "scope.cfg").write_text(TESTER)
    (tmp_path / "scope.toml").write_text(settings(1000))
    run = locstream("run", "scope.toml")
    assert run.finish() == 0, run.err
    frames = tifffile.imread(tmp_path / "data" / "cell1.ome.tif")
    serials = [serial_of(Frame(0, 0.0, frame)) for frame in frames]
    assert serials == list(range(serials[0], serials[0] + 1000))
    results = read_results(tmp_path / "data" / "cell1_locs.hdf5")
    assert results.frames["frame"].tolist() == list(range(1000))
