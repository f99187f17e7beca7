"""A worker by itself: what it is set up with is what it does, and it is ready before it says so."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import zmq

from bead_stacks import lens
from fitting_frames import expose, light, molecules
from locstream import __version__
from locstream.calibration import CameraCalibration
from locstream.calibration.astigmatism import AstigmatismCalibration
from locstream.errors import ConfigError, LocstreamError
from locstream.fitting import FitOptions, Localizer
from locstream.fitting.depth import options_for_depth
from locstream.fitting.gaussian import LANES
from locstream.fitting.residuals import ResidualMap
from locstream.fitting.vectors import vector_text
from locstream.kernel_cache import sources_digest
from locstream.localizations import LOCALIZATION, LOCALIZATION_3D
from locstream.stream.wire import pack
from locstreamd.fit import serve as serving
from locstreamd.fit.fitter import RESIDUALS_EVERY, Fitter
from locstreamd.fit.line import Line, LineLostError
from locstreamd.fit.serve import MOST_FRAMES, Parting, join_message, serve
from locstreamd.fit.task import Task, setup_message
from locstreamd.fit.work import FROM_WORKER, Beat, Done, FromWorker, Goodbye, Join, Leave, Ready, Refused, Rejoin, Work

SIZE = 48
CAMERA = CameraCalibration(pixel_size_nm=100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.6)
LENS = lens()
DEPTH = options_for_depth(FitOptions(), LENS, 100.0)


def frame(seed: int = 1) -> npt.NDArray[np.uint16]:
    table = molecules([12, 34, 20], [14, 15, 36], 3000)
    return expose(light(table, SIZE, SIZE, sigma=1.4, background=8), CAMERA, np.random.default_rng(seed))


def fitter(options: FitOptions, astigmatism: AstigmatismCalibration | None = None) -> Fitter:
    return Fitter(Task(CAMERA, SIZE, SIZE, options, astigmatism))


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

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(endpoint)
        self._worker = b""

    def take(self) -> tuple[FromWorker, list[bytes | memoryview]]:
        assert self.socket.poll(300_000), "the worker said nothing"
        self._worker, *parts = self.socket.recv_multipart()
        return FROM_WORKER.unpack(parts)

    def say(self, *parts: bytes | memoryview) -> None:
        self.socket.send_multipart([self._worker, *parts])


@dataclass
class Working:
    """A worker at one connection, in a thread."""

    endpoint: str
    context: zmq.Context[zmq.Socket[bytes]]
    watched: bool = True
    leaving: threading.Event = field(default_factory=threading.Event)
    ended: list[Parting | LocstreamError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        with Line(self.context, self.endpoint) as line:
            try:
                self.ended.append(serve(line, join_message("me", watched=self.watched), self.leaving.is_set))
            except LocstreamError as error:
                self.ended.append(error)

    def end(self) -> Parting | LocstreamError:
        """Wait for the end; return what it was."""
        self.thread.join(60)
        return self.ended[0]


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as context:
        yield context


@pytest.fixture
def dispatcher(context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path) -> Iterator[Dispatcher]:
    dispatcher = Dispatcher(context, f"ipc://{tmp_path}/work")
    yield dispatcher
    dispatcher.socket.close()


@pytest.fixture
def working(
    context: zmq.Context[zmq.Socket[bytes]], dispatcher: Dispatcher, tmp_path: Path
) -> Iterator[Callable[..., Working]]:
    """Return a function that starts a worker at the dispatcher."""
    started: list[Working] = []

    def start(**how: bool) -> Working:
        started.append(Working(f"ipc://{tmp_path}/work", context, **how))
        return started[-1]

    yield start
    for worker in started:
        worker.leaving.set()
        worker.thread.join(60)


def test_a_worker_joins_is_set_up_works_and_leaves(dispatcher: Dispatcher, working: Callable[..., Working]) -> None:
    """Its kernels are compiled between the set-up and its saying that it is ready."""
    worker = working()
    joined, _ = dispatcher.take()
    assert isinstance(joined, Join)
    assert (joined.version, joined.kernels) == (__version__, sources_digest())
    assert (joined.pid, joined.lanes, joined.vectors) == (os.getpid(), LANES, vector_text())
    image = frame()
    dispatcher.say(*pack(Work(index=0, number=0)), image.tobytes())
    refused, _ = dispatcher.take()
    assert isinstance(refused, Refused)
    assert refused.index == 0
    message, maps = setup_message(Task(CAMERA, SIZE, SIZE, DEPTH, LENS))
    dispatcher.say(*pack(message, *maps))
    ready, _ = dispatcher.take()
    assert isinstance(ready, Ready)
    assert ready.calibration == CAMERA.digest()
    assert 0 < ready.credits <= ready.most <= MOST_FRAMES
    for pixels in ([image.tobytes()[:-2]], [], [image.tobytes()] * 2):
        dispatcher.say(*pack(Work(index=3, number=3)), *pixels)
        refused, _ = dispatcher.take()
        assert isinstance(refused, Refused)
        assert refused.index == 3
        assert f"{SIZE} × {SIZE} px are {image.nbytes} bytes" in refused.reason
    for index, number in ((4, RESIDUALS_EVERY), (5, RESIDUALS_EVERY + 1)):
        dispatcher.say(*pack(Beat()))
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
    assert worker.end() is Parting.TOLD


def test_one_that_wants_to_leave_says_so(dispatcher: Dispatcher, working: Callable[..., Working]) -> None:
    worker = working()
    dispatcher.take()
    worker.leaving.set()
    assert isinstance(dispatcher.take()[0], Goodbye)
    assert worker.end() is Parting.OWN


def test_one_that_is_turned_away_says_why(dispatcher: Dispatcher, working: Callable[..., Working]) -> None:
    worker = working()
    dispatcher.take()
    dispatcher.say(*pack(Leave(reason="it runs locstream 0.0.7, the acquisition 9.9")))
    ended = worker.end()
    assert isinstance(ended, LocstreamError)
    assert "0.0.7" in str(ended)
    assert not isinstance(ended, LineLostError), "to try again would not help"


def test_one_whose_frames_are_with_others_gives_its_connection_up(
    dispatcher: Dispatcher, working: Callable[..., Working]
) -> None:
    worker = working()
    dispatcher.take()
    dispatcher.say(*pack(Rejoin()))
    assert isinstance(worker.end(), LineLostError)


def test_silence_is_a_lost_line_for_one_that_nobody_watches(
    dispatcher: Dispatcher, working: Callable[..., Working], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beat is enough to stay; a process of the acquisition's own ends with it, and needs none."""
    monkeypatch.setattr(serving, "POLL_MS", 10)
    monkeypatch.setattr(serving, "SILENT_S", 0.1)
    own = working()
    dispatcher.take()
    other = working(watched=False)
    joined, _ = dispatcher.take()
    assert isinstance(joined, Join)
    assert joined.pid is None
    ended = other.end()
    assert isinstance(ended, LineLostError)
    assert "heard" in str(ended)
    assert own.ended == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"calibration": "feedbeef"}, "calibration"), ({"fit": {"glow": True}}, "glow")],
    ids=["another calibration", "options of another version"],
)
def test_a_set_up_that_cannot_be_worked_with_is_refused_with_the_reason(
    dispatcher: Dispatcher, working: Callable[..., Working], change: dict[str, object], reason: str
) -> None:
    worker = working()
    dispatcher.take()
    message, maps = setup_message(Task(CAMERA, SIZE, SIZE, DEPTH))
    dispatcher.say(*pack(msgspec.structs.replace(message, **change), *maps))
    refused, _ = dispatcher.take()
    assert isinstance(refused, Refused)
    assert refused.index is None
    assert reason in refused.reason
    ended = worker.end()
    assert isinstance(ended, LocstreamError)
    assert reason in str(ended)


def until_lost(line: Line) -> None:
    """Receive until it cannot; news of the connection alone is nothing received."""
    for _ in range(10):
        line.receive(60_000)


def test_what_waited_on_a_lost_line_is_given_up(context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path) -> None:
    """Rows of one acquisition must not reach the next at the same endpoint."""
    endpoint = f"ipc://{tmp_path}/work"
    first = Dispatcher(context, endpoint)
    with Line(context, endpoint) as line:
        line.send(pack(join_message("me", watched=False)))
        first.take()
        first.socket.close()
        second = Dispatcher(context, endpoint)
        with pytest.raises(LineLostError, match="is lost"):
            until_lost(line)
        assert line.met
        with contextlib.suppress(LineLostError):
            line.send(pack(Goodbye()))
        line.close()
    with Line(context, endpoint) as line:
        line.send(pack(Ready(credits=1)))
        assert isinstance(second.take()[0], Ready), "nothing of the first connection came before"
    second.socket.close()


def test_nobody_there_is_a_lost_line_too(context: zmq.Context[zmq.Socket[bytes]], tmp_path: Path) -> None:
    with Line(context, "tcp://127.0.0.1:9") as line, pytest.raises(LineLostError, match="nobody is at"):
        line.receive(60_000)
    with pytest.raises(LocstreamError, match="not an endpoint"):
        Line(context, "nonsense")
