"""Cameras for the tests of the frame sources: written in Python, and Micro-Manager's own testers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgpack
import numpy as np
import numpy.typing as npt

from locstream.stacks.source import Frame, FrameSource, SourceInfo
from locstreamd.record.core_source import CoreSource
from locstreamd.record.mmcore import CMMCorePlus
from locstreamd.record.unicore import CameraDevice, UniMMCore

DEMO_CFG = Path(__file__).resolve().parents[1] / "config" / "demo.cfg"
HEIGHT, WIDTH = 12, 20

Script = Callable[[int], Mapping[str, str] | None]
"""What the camera says of frame n; None ends the sequence, an exception is a fault of the camera."""


class ScriptedCamera(CameraDevice):
    """Gives frame n full of the value n, as fast as it can, until its script says otherwise."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script
        self.sizes = (HEIGHT, WIDTH)

    def get_exposure(self) -> float:
        return 1.0

    def set_exposure(self, exposure: float) -> None:
        raise NotImplementedError

    def shape(self) -> tuple[int, int]:
        return self.sizes

    def dtype(self) -> npt.DTypeLike:
        return np.uint16

    def start_sequence(
        self, n: int | None, get_buffer: Callable[[Sequence[int], npt.DTypeLike], npt.NDArray[np.uint16]]
    ) -> Iterator[Mapping[str, str]]:
        number = 0
        while (tags := self.script(number)) is not None:
            get_buffer(self.shape(), self.dtype())[:] = number
            yield tags
            number += 1


def scripted_source(
    script: Script, *, frames: int | None = None, frame_counter: str = "", buffer_frames: int = 1000
) -> tuple[CoreSource, ScriptedCamera, UniMMCore]:
    """Return a source whose camera follows a script."""
    core = UniMMCore(mm_path=str(Path(__file__).parent))
    camera = ScriptedCamera(script)
    core.loadPyDevice("Cam", camera)
    core.initializeDevice("Cam")
    core.setCameraDevice("Cam")
    info = SourceInfo(camera="scripted", width=WIDTH, height=HEIGHT, frames=frames)
    buffer_mb = buffer_frames * 2 * WIDTH * HEIGHT / 2**20
    return CoreSource(core, info, buffer_mb=buffer_mb, frame_counter=frame_counter), camera, core


def sequence_tester(*, frames: int | None = None, buffer_mb: int = 64) -> CoreSource:
    """Return Micro-Manager's tester, which writes into every frame how many it has taken."""
    core = CMMCorePlus()
    core.loadDevice("THub", "SequenceTester", "THub")
    core.initializeDevice("THub")
    core.loadDevice("TCamera", "SequenceTester", "TCamera-0")
    core.setParentLabel("TCamera", "THub")
    for name, value in (("ImageMode", "MachineReadable"), ("ImageWidth", 128), ("ImageHeight", 128)):
        core.setProperty("TCamera", name, value)
    core.initializeDevice("TCamera")
    core.setCameraDevice("TCamera")
    info = SourceInfo(camera="TCamera-0", width=128, height=128, frames=frames)
    return CoreSource(core, info, buffer_mb=buffer_mb)


def serial_of(frame: Frame) -> int:
    """Return the number that the SequenceTester wrote into the pixels."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(frame.image.astype(np.uint8).tobytes())
    _, (_name, _serial, _is_sequence, cumulative, _frame), *_ = next(unpacker)
    return int(cumulative)


def read_all(source: FrameSource, timeout_s: float = 1.0) -> list[Frame]:
    """Read until nothing more comes."""
    frames = []
    while not source.exhausted:
        frame = source.read(timeout_s)
        if frame is not None:
            frames.append(frame)
    return frames
