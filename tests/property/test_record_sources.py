"""What holds for the frame sources whatever the sizes, rates and habits of the reader."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from locstream.errors import SourceError, StackError
from locstream.stacks.source import Image, SourceInfo
from locstreamd.record.camera_noise import noise_quantiles
from locstreamd.record.frame_tags import FrameNumbers, epoch_s
from locstreamd.record.mmcore import Metadata
from locstreamd.record.replay import ReplaySource
from locstreamd.record.sample import Sample, SimulationOptions
from locstreamd.record.simulated import MB, MIN_BUFFER_FRAMES, whole_frames_mb


class CountingStack:
    """A stack whose frame n is full of n and whose frame `damaged` cannot be read."""

    def __init__(self, frames: int, damaged: int) -> None:
        self.frames, self.damaged = frames, damaged
        self.info = SourceInfo(camera="", width=2, height=2, frames=frames)

    def __len__(self) -> int:
        return self.frames

    def read(self, index: int) -> Image:
        if index == self.damaged:
            raise StackError("damaged")
        return np.full((2, 2), index, np.uint16)

    def close(self) -> None:
        pass


@given(frames=st.integers(0, 30), damaged=st.integers(0, 60), stop_after=st.integers(0, 60))
def test_a_replay_gives_each_frame_once_up_to_its_end_its_damage_or_its_stop(
    frames: int, damaged: int, stop_after: int
) -> None:
    source = ReplaySource(CountingStack(frames, damaged))
    source.start()
    seen: list[int] = []
    failed = False
    while not source.exhausted:
        if len(seen) == stop_after:
            source.stop()
        try:
            if (frame := source.read(0)) is not None:
                assert int(frame.image[0, 0]) == frame.number
                seen.append(frame.number)
        except SourceError:
            failed = True
    end = min(frames, damaged, stop_after)
    assert seen == list(range(end))
    assert failed == (damaged < frames and damaged < stop_after)


@given(
    width=st.integers(1, 9000),
    height=st.integers(1, 9000),
    pixel_bytes=st.sampled_from([1, 2]),
    mb=st.integers(0, 4096),
)
def test_the_buffer_holds_whole_frames_to_the_byte(width: int, height: int, pixel_bytes: int, mb: int) -> None:
    frame_bytes = width * height * pixel_bytes
    buffer_mb = whole_frames_mb(frame_bytes, mb)
    size = int(buffer_mb * 1024 * 1024)  # as the buffer computes it
    assert size % frame_bytes == 0
    assert size >= MIN_BUFFER_FRAMES * frame_bytes
    assert size <= max(mb * MB, MIN_BUFFER_FRAMES * frame_bytes)


@given(steps=st.lists(st.integers(1, 1000), max_size=50), zero=st.integers(0, 2**40))
def test_a_rising_counter_keeps_its_gaps(steps: list[int], zero: int) -> None:
    numbers = FrameNumbers("n")
    counts = [zero, *(zero + int(s) for s in np.cumsum(steps, dtype=np.int64))]
    assert [numbers.next(Metadata({"n": str(c)})) for c in counts] == [c - zero for c in counts]


@given(counts=st.lists(st.integers(0, 20), min_size=1, max_size=20))
def test_a_number_never_comes_twice(counts: list[int]) -> None:
    numbers = FrameNumbers()
    accepted: list[int] = []
    for count in counts:
        try:
            accepted.append(numbers.next(Metadata({"ImageNumber": str(count)})))
        except SourceError:
            assert count <= accepted[-1]
    assert accepted == sorted(set(accepted))


@given(
    moment=st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),  # noqa: DTZ001  # hypothesis wants them naive
    late_s=st.floats(0, 600),
)
def test_local_time_and_back(moment: datetime, late_s: float) -> None:
    utc = moment.replace(tzinfo=UTC)
    local = utc.astimezone().replace(tzinfo=None)
    expected_s = (utc - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    assert epoch_s(local.isoformat(sep=" "), expected_s + late_s) == pytest.approx(expected_s, abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(background=st.floats(0, 2000), read_noise_e=st.floats(0, 100))
def test_the_noise_has_the_models_mean_and_variance_for_every_camera(background: float, read_noise_e: float) -> None:
    table = noise_quantiles(background, read_noise_e)
    sd = math.hypot(math.sqrt(background), read_noise_e)
    # rare events of a very dim camera are rarer than one quantile
    resolution = 3e-3 * sd + 1 / len(table)
    assert np.isfinite(table).all()
    assert table.mean() == pytest.approx(background, abs=resolution)
    assert table.std() == pytest.approx(sd, abs=3 * resolution + 5e-3)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**63),
    drift=st.tuples(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4)),
    on_frames=st.floats(0.1, 20),
    frames=st.integers(1, 40),
)
def test_without_its_drift_every_emission_lies_on_a_site_of_the_cell(
    seed: int, drift: tuple[float, float], on_frames: float, frames: int
) -> None:
    options = SimulationOptions(
        width=32, height=24, seed=seed, drift_nm_per_1000_frames=drift, on_frames=on_frames, emitters_per_frame=4
    )
    sample = Sample(options)
    truth = sample.truth(frames)
    moved_nm = truth["frame"][:, None] / 1000 * np.array(drift)
    undrifted = np.column_stack([truth["x_nm"], truth["y_nm"]]) - moved_nm
    gaps = np.abs(undrifted[:, None] - sample.sites[None]).max(axis=2)
    assert (gaps.min(axis=1) < 1e-6).all()
    assert (truth["photons"] >= 1).all()
    assert truth["frame"].max(initial=0) < frames
