"""The simulated camera gives every frame once, in order, on time, and knows the truth about them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from pymmcore_plus.experimental.unicore.core._sequence_buffer import SequenceBuffer

from locstream.errors import SourceError
from locstreamd.record import camera_noise, simulated
from locstreamd.record.camera_noise import SimulatedChip
from locstreamd.record.sample import Sample, SimulationOptions
from locstreamd.record.simulated import SimulatedCamera, SimulatedSource, open_simulated, whole_frames_mb
from record_cameras import read_all
from waiting import until

Open = Callable[..., SimulatedSource]


@pytest.fixture
def open_camera() -> Iterator[Open]:
    """Open a simulated camera, closed at the end of the test."""
    opened: list[SimulatedSource] = []

    def open_it(**given: object) -> SimulatedSource:
        small = {"width": 48, "height": 32, "frames": 50, "exposure_ms": 2, "emitters_per_frame": 5}
        opened.append(open_simulated(SimulationOptions.model_validate({**small, **given})))
        return opened[-1]

    yield open_it
    for source in opened:
        source.close()


# --- every frame, once, in order ------------------------------------------------------------------


def test_two_thousand_frames_at_500_per_second_all_come_in_order(open_camera: Open) -> None:
    source = open_camera(width=256, height=256, frames=2000, exposure_ms=2, emitters_per_frame=60)
    began_s = time.monotonic()
    source.start()
    seen = []
    while not source.exhausted:
        if (frame := source.read(1)) is not None:
            assert time.monotonic() - began_s >= (frame.number + 1) * 0.002
            seen.append((frame.number, frame.image.shape))
    assert seen == [(number, (256, 256)) for number in range(2000)]


class SlowClock:
    """A clock that only work and waiting move; it stands in for `time` and for the camera's stop flag."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def perf_counter(self) -> float:
        return self.now_s

    def wait(self, timeout_s: float) -> bool:
        self.now_s += timeout_s
        return False


def test_frames_keep_to_the_clock_whatever_each_of_them_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, begun_s = SlowClock(), []
    costs_s = [0.004, 0.009, 0.035, 0.001, 0.001, 0.001, 0.002, 0.009]

    def expose(self: SimulatedChip, number: int, *_: object) -> None:
        begun_s.append(clock.now_s)
        clock.now_s += costs_s[number]

    sample = Sample(SimulationOptions(width=48, height=32, frames=len(costs_s), exposure_ms=10))
    camera = SimulatedCamera(sample, lambda: 0)
    monkeypatch.setattr(SimulatedChip, "expose", expose)
    monkeypatch.setattr(simulated, "time", clock)
    monkeypatch.setattr(camera, "_stop", clock)
    assert len(list(camera.start_sequence(None, lambda shape, dtype: np.empty(shape, dtype)))) == len(costs_s)
    # after the slow third frame the next three follow at once, and then the clock is kept again
    assert begun_s == pytest.approx([1000.01, 1000.02, 1000.03, 1000.065, 1000.066, 1000.067, 1000.07, 1000.08])


def test_unpaced_frames_come_as_they_are_taken_and_none_is_lost(
    open_camera: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulated, "BUFFER_MB", 0)  # the least there is, 16 frames
    source = open_camera(frames=400, paced=False, exposure_ms=10_000)
    assert not source.paced
    source.start()
    time.sleep(0.05)
    assert [frame.number for frame in read_all(source)] == list(range(400))


def test_the_frames_are_those_of_the_sample_whether_paced_or_not(open_camera: Open) -> None:
    def images(**given: object) -> list[bytes]:
        source = open_camera(frames=20, exposure_ms=1, **given)
        source.start()
        return [frame.image.tobytes() for frame in read_all(source)]

    paced = images(paced=True)
    assert images(paced=False) == paced
    assert images(paced=False, seed=2) != paced
    options = SimulationOptions(width=48, height=32, emitters_per_frame=5)
    image = np.empty((32, 48), np.uint16)
    SimulatedChip(options).expose(2, next(itertools.islice(Sample(options).emissions(), 2, 3)), image)
    assert image.tobytes() == paced[2]


@pytest.mark.parametrize("height", [31, 32])
def test_frames_are_not_transposed(height: int, open_camera: Open) -> None:
    source = open_camera(width=57, height=height, frames=1)
    assert (source.info.width, source.info.height) == (57, height)
    source.start()
    (frame,) = read_all(source)
    assert frame.image.shape == (height, 57)
    assert frame.image.flags.c_contiguous
    assert frame.image.flags.writeable


# --- the end --------------------------------------------------------------------------------------


def test_an_open_ended_simulation_runs_until_stopped_and_keeps_what_is_queued(open_camera: Open) -> None:
    source = open_camera(frames=None, exposure_ms=1)
    assert source.info.frames is None
    source.start()
    first = [frame for _ in range(40) if (frame := source.read(0.5)) is not None]
    time.sleep(0.01)
    source.stop()
    frames = first + read_all(source)
    assert [frame.number for frame in frames] == list(range(len(frames)))
    assert len(frames) >= 40


def test_stop_does_not_wait_for_a_long_exposure(open_camera: Open) -> None:
    source = open_camera(exposure_ms=10_000)
    source.start()
    assert source.read(0.01) is None
    thread = source._core._acquisition_thread  # type: ignore[attr-defined]  # nothing public shows the thread
    source.stop()
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert source.exhausted


def test_stop_frees_a_camera_that_waits_for_room(open_camera: Open) -> None:
    source = open_camera(frames=None, paced=False)
    source.start()
    until(lambda: source._core.getRemainingImageCount() > simulated.UNPACED_QUEUE)
    source.stop()
    numbers = [frame.number for frame in read_all(source)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > simulated.UNPACED_QUEUE


def test_a_paced_camera_nobody_reads_overflows_loudly_and_keeps_its_frames(
    open_camera: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulated, "BUFFER_MB", 0)
    source = open_camera(frames=None, exposure_ms=0.5)
    source.start()
    until(lambda: not source._core.isSequenceRunning())
    numbers = [source.read(0).number for _ in range(16)]  # type: ignore[union-attr]  # None would fail, as it should
    assert numbers == list(range(16))
    with pytest.raises(SourceError, match="was full"):
        source.read(1)
    assert source.exhausted


def test_what_the_camera_dies_of_is_told_in_its_own_words(open_camera: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    expose = SimulatedChip.expose

    def fail(self: SimulatedChip, number: int, *args: object) -> None:
        if number == 3:
            raise ArithmeticError("lamp out of order")
        expose(self, number, *args)  # type: ignore[arg-type]  # passed on as they came

    source = open_camera()
    monkeypatch.setattr(SimulatedChip, "expose", fail)
    source.start()
    assert [source.read(60).number for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SourceError, match="ArithmeticError: lamp out of order"):
        source.read(60)


def test_closing_ends_the_cameras_thread(open_camera: Open) -> None:
    before = set(threading.enumerate())
    source = open_camera(frames=None)
    source.start()
    assert source.read(60) is not None
    source.close()
    source.close()
    left = set(threading.enumerate()) - before
    for thread in left:
        thread.join(timeout=60)
    assert not [thread for thread in left if thread.is_alive()]
    assert source.exhausted


# --- what it says of itself -----------------------------------------------------------------------


def test_it_says_what_it_is(open_camera: Open) -> None:
    info = open_camera(exposure_ms=7, pixel_size_nm=110).info
    assert (info.camera, info.bit_depth, info.frames) == ("simulated camera", 16, 50)
    assert (info.exposure_ms, info.interval_ms, info.pixel_size_nm) == (7, 7, 110)
    assert SimulationOptions.model_validate_json(info.details["simulation"]).exposure_ms == 7


def test_its_exposure_is_fixed(open_camera: Open) -> None:
    source = open_camera(exposure_ms=7)
    assert source._core.getExposure() == 7
    with pytest.raises(ValueError, match="fixed by the options"):
        source._core.setExposure(8)


def test_the_truth_is_about_the_frames_that_were_read(open_camera: Open, tmp_path: Path) -> None:
    source = open_camera(frames=None, exposure_ms=1)
    assert len(source.truth) == 0
    source.start()
    last = -1
    while last < 9:
        if (frame := source.read(1)) is not None:
            last = frame.number
    truth = source.truth
    assert truth["frame"].max() == 9
    assert source.write_truth(tmp_path / "run_truth.hdf5") == len(truth)
    with h5py.File(tmp_path / "run_truth.hdf5") as file:
        assert np.array_equal(file["truth"][()], truth)


def test_the_truth_matches_the_light_in_the_frames(open_camera: Open) -> None:
    source = open_camera(
        background=0, read_noise_e=0, offset_adu=0, gain_e_per_adu=1, psf_sigma_nm=60, frames=30, paced=False
    )
    source.start()
    light = [int(frame.image.sum()) for frame in read_all(source)]
    emitted = np.bincount(source.truth["frame"], source.truth["photons"], minlength=30)
    assert all(counted <= total for counted, total in zip(light, emitted, strict=True))
    assert sum(light) == pytest.approx(emitted.sum(), rel=0.05)


def test_a_simulation_compiles_its_kernel_before_it_starts(open_camera: Open) -> None:
    open_camera()
    assert camera_noise.draw_frame.signatures


# --- the buffer -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(256, 256), (500, 500), (300, 400), (17, 31)])
def test_the_buffer_never_overflows_before_it_is_full_wherever_the_reader_is(shape: tuple[int, int]) -> None:
    frame_bytes = 2 * shape[0] * shape[1]
    buffer = SequenceBuffer(whole_frames_mb(frame_bytes, 0), overwrite_on_overflow=False)
    written, read = itertools.count(), itertools.count()

    def write(frames: int) -> None:
        for _ in range(frames):
            buffer.acquire_slot(shape, np.uint16)[:] = next(written) % 65_536
            buffer.finalize_slot({})

    for backlog in (1, 5, 15):
        write(backlog)
        for _ in range(40):  # goes round the pool more than twice with the same backlog
            write(1)
            popped = buffer.pop_next()
            assert popped is not None
            assert popped[0][0, 0] == next(read) % 65_536
        for _ in range(backlog):
            popped = buffer.pop_next()
            assert popped is not None
            assert popped[0][-1, -1] == next(read) % 65_536
    write(16)
    with pytest.raises(BufferError):
        write(1)
