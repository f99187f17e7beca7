"""What workers are set up with arrives as it was sent, or is refused in a sentence."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from bead_stacks import lens
from locstream.calibration import CameraCalibration
from locstream.errors import MessageError
from locstream.fitting import FitOptions
from locstream.stream.wire import pack
from locstreamd.fit.task import Task, setup_message, task_from
from locstreamd.fit.work import TO_WORKER, Setup

CAMERA = CameraCalibration(130.0, offset_adu=100.0)
MAPS = CameraCalibration(
    130.0,
    offset_adu=99.5,
    gain_e_per_adu=np.linspace(0.4, 0.6, 6, dtype=np.float32).reshape(2, 3),
    read_noise_e=1.2,
    em_gain=3.0,
    saturation_adu=65_000.0,
)
DEPTH = Task(CAMERA, 2, 3, FitOptions(model="sigma_xy"), lens(pixel_size_nm=130.0))


def sent(task: Task) -> tuple[Setup, list[bytes | memoryview]]:
    """Send a task over the wire."""
    message, maps = setup_message(task)
    received, buffers = TO_WORKER.unpack(pack(message, *maps))
    assert isinstance(received, Setup)
    return received, buffers


@pytest.mark.parametrize("task", [Task(CAMERA, 2, 3, FitOptions(threshold=6.0)), Task(MAPS, 2, 3, FitOptions()), DEPTH])
def test_it_arrives_as_it_was_sent(task: Task) -> None:
    arrived = task_from(*sent(task))
    assert arrived.calibration.digest() == task.calibration.digest()
    assert (arrived.height, arrived.width, arrived.frame_bytes) == (2, 3, 12)
    assert arrived.options == task.options
    assert arrived.astigmatism == task.astigmatism


def test_a_map_of_the_wrong_size_is_refused() -> None:
    message, _ = sent(Task(MAPS, 2, 3, FitOptions()))
    for maps in ([b"1234"], [], [bytes(24), bytes(24)]):
        with pytest.raises(MessageError, match="gain_e_per_adu"):
            task_from(message, maps)


def test_a_calibration_that_was_damaged_on_the_way_is_refused() -> None:
    message, (gains,) = sent(Task(MAPS, 2, 3, FitOptions()))
    damaged = bytearray(gains)
    damaged[5] ^= 1
    with pytest.raises(MessageError, match=f"was sent with {MAPS.digest()[:12]}"):
        task_from(message, [bytes(damaged)])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fit": {"box_px": 7, "glow": True}}, r"no fit options of this version: glow Extra inputs"),
        ({"fit": {"box_px": -7}}, r"no fit options of this version: box_px "),
        ({"astigmatism": {"z_min_nm": 0}}, r"no astigmatism calibration of this version: "),
        ({"scalars": {"pixel_size_nm": 130.0, "colour": 3.0}}, r"no camera calibration: .*colour"),
        ({"scalars": {"pixel_size_nm": -1.0}}, r"no camera calibration: pixel_size_nm = -1.0 nm"),
        ({"height": 0}, r"frames of 0 × 3 px"),
    ],
)
def test_what_another_version_might_send_is_refused_in_a_sentence(change: dict[str, object], told: str) -> None:
    message, maps = sent(DEPTH)
    with pytest.raises(MessageError, match=told):
        task_from(msgspec.structs.replace(message, **change), maps)
