"""A worker by itself: what it is set up with is what it does, and it is ready before it says so."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import pytest
import zmq

from bead_stacks import lens
from fitting_frames import expose, light, molecules
from locstream import __version__
from locstream.calibration import CameraCalibration
from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.errors import ConfigError
from locstream.fitting import FitOptions, Localizer
from locstream.fitting.depth import options_for_depth
from locstream.fitting.gaussian import LANES
from locstream.fitting.residuals import ResidualMap
from locstream.fitting.vectors import vector_text
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D
from locstream.stream.wire import pack
from locstreamd.fit.work import FROM_WORKER, Done, FromWorker, Join, Leave, Ready, Refused, Work, setup_message
from locstreamd.fit.worker import RESIDUALS_EVERY, Fitter, serve

SIZE = 48
CAMERA = CameraCalibration(pixel_size_nm=100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.6)
LENS = lens()
DEPTH = options_for_depth(FitOptions(), LENS, 100.0)


def frame(seed: int = 1) -> npt.NDArray[np.uint16]:
    table = molecules([12, 34, 20], [14, 15, 36], 3000)
    return expose(light(table, SIZE, SIZE, sigma=1.4, background=8), CAMERA, np.random.default_rng(seed))


def fitter(options: FitOptions, astigmatism: AstigmatismCalibration | None = None) -> Fitter:
    return Fitter(*setup_message(CAMERA, SIZE, SIZE, options, astigmatism))


@pytest.mark.parametrize(
    ("options", "astigmatism", "dtype"),
    [(FitOptions(), None, LOCALIZATION), (DEPTH, LENS, LOCALIZATION_3D)],
    ids=["flat", "depth"],
)
def test_rows_are_those_of_a_localizer(
    options: FitOptions, astigmatism: AstigmatismCalibration | None, dtype: np.dtype[np.void]
) -> None:
    rows, _ = fitter(options, astigmatism)(frame(), 7)
    assert rows.dtype == dtype
    assert len(rows) == 3
    np.testing.assert_array_equal(rows, Localizer(CAMERA, SIZE, SIZE, options, astigmatism)(frame(), 7))


def test_one_frame_in_some_is_compared_with_its_fits_by_its_number() -> None:
    fit, image = fitter(FitOptions()), frame()
    compared = {number for number in range(3 * RESIDUALS_EVERY) if fit(image, number)[1] is not None}
    assert compared == {0, RESIDUALS_EVERY, 2 * RESIDUALS_EVERY}
    rows, residuals = fit(image, 0)
    expected = ResidualMap(CAMERA, SIZE, SIZE, 7)(image, rows)
    assert residuals is not None
    assert residuals.spots == expected.spots == 3
    np.testing.assert_array_equal(residuals.total, expected.total)


def test_a_set_up_that_does_not_go_together_is_refused() -> None:
    with pytest.raises(ConfigError, match="sigma_xy"):
        fitter(FitOptions(), LENS)


class Dispatcher:
    """The other side of a worker's socket."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind("inproc://work")
        self._worker = b""

    def take(self) -> tuple[FromWorker, list[bytes | memoryview]]:
        assert self.socket.poll(60_000), "the worker said nothing"
        self._worker, *parts = self.socket.recv_multipart()
        return FROM_WORKER.unpack(parts)

    def say(self, *parts: bytes | memoryview) -> None:
        self.socket.send_multipart([self._worker, *parts])


def test_a_worker_joins_is_set_up_works_and_leaves() -> None:
    """Its kernels are compiled between the set-up and its saying that it is ready."""
    ended: list[int] = []
    with zmq.Context() as context, context.socket(zmq.DEALER) as mine:
        mine.linger = 0
        dispatcher = Dispatcher(context)
        mine.connect("inproc://work")
        thread = threading.Thread(target=lambda: ended.append(serve(mine, None)))
        thread.start()
        joined, _ = dispatcher.take()
        assert isinstance(joined, Join)
        assert (joined.version, joined.lanes, joined.vectors) == (__version__, LANES, vector_text())
        image = frame()
        dispatcher.say(*pack(Work(index=0, number=0)), image.tobytes())
        refused, _ = dispatcher.take()
        assert isinstance(refused, Refused)
        assert refused.index == 0
        message, maps = setup_message(CAMERA, SIZE, SIZE, DEPTH, LENS)
        dispatcher.say(*pack(message, *maps))
        ready, _ = dispatcher.take()
        assert isinstance(ready, Ready)
        for index, number in ((4, RESIDUALS_EVERY), (5, RESIDUALS_EVERY + 1)):
            dispatcher.say(*pack(Work(index=index, number=number)), image.tobytes())
        done, buffers = dispatcher.take()
        assert isinstance(done, Done)
        assert (done.index, done.rows, done.residual_spots) == (4, 3, 3)
        rows = np.frombuffer(buffers[0], LOCALIZATION_3D)
        assert rows["frame"].tolist() == [RESIDUALS_EVERY] * 3
        assert np.abs(rows["z_nm"]).max() < 200
        assert len(buffers[1]) == 4 * DEPTH.box_px**2
        done, buffers = dispatcher.take()
        assert isinstance(done, Done)
        assert (done.residual_spots, len(buffers)) == (0, 1)
        dispatcher.say(*pack(Leave()))
        thread.join(10)
        assert ended == [0]
        dispatcher.socket.close()
