"""Fit workers of other computers, with keys and over a bad network: every frame is fitted once, to the bit as here."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bad_line import BadLine, NotPossibleError
from bad_network import BadNetwork
from far_workers import Follower, Node, finished_whole, stop, worker_events
from keyed_run import free_ports
from locstream import __version__
from locstream.fitting import FitOptions
from locstream.kernel_cache import sources_digest
from locstream.stream.digest import file_digest
from locstream.stream.keys import Keyring, Role
from locstreamd.fit.fitter import Fitter
from locstreamd.fit.task import Task
from locstreamd.record.sample import SimulationOptions
from spawned_run import SpawnedRun
from waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]  # kernels may have to be compiled first

PORT = 5580
STREAM = 5577
ENDLESS = 1_000_000


@pytest.fixture(scope="module", autouse=True)
def _kernels() -> None:
    """Compile what workers need, where it is not kept yet: that takes as long as it takes."""
    Fitter(Task(SimulationOptions().calibration(), 64, 64, FitOptions()))


@pytest.fixture
def node1(keyring: Keyring) -> Path:
    """Return the keys of a fit worker."""
    return keyring.create_client("node1", Role.WORK)


def simulated(frames: int, size: int = 64, **changes: float) -> SimulationOptions:
    return SimulationOptions.model_validate(
        {"width": size, "height": size, "frames": frames, "emitters_per_frame": 6.0, **changes}
    )


def settings(simulation: SimulationOptions, listen: str, workers: str = "local = false") -> str:
    """Return the configuration of a run."""
    sample = "\n".join(
        f"{name} = {value}" for name, value in simulation.model_dump(mode="json", exclude_unset=True).items()
    )
    return f'[simulation]\n{sample}\n[workers]\nlisten = "{listen}"\n{workers}\n'


def test_a_line_that_is_cut_again_and_again_loses_nothing(tmp_path: Path, node1: Path) -> None:
    """In the middle of frames and of rows, with 20 ms each way, and nobody else to fit."""
    listen, simulation = f"tcp://127.0.0.1:{free_ports(1)}", simulated(300)
    with (
        BadNetwork(listen, delay_s=0.02, cut_after_bytes=(300_000, 900_000)) as network,
        SpawnedRun(tmp_path, settings(simulation, listen)) as run,
        Node(tmp_path, network.endpoint, node1) as node,
    ):
        finished_whole(run, simulation)
        assert network.cuts >= 3
        assert node.process.poll() is None, node.printed
    kinds = [kind for kind, _ in worker_events(run)]
    assert kinds.count("WorkerLost") >= 3
    assert set(kinds) == {"WorkerJoined", "WorkerLost"}


@pytest.mark.full
def test_frames_of_one_that_is_silent_go_to_another_until_it_is_back(
    tmp_path: Path, keyring: Keyring, node1: Path
) -> None:
    """As behind a tunnel: the connection is open at both ends, and nothing gets through."""
    listen, simulation = f"tcp://127.0.0.1:{free_ports(1)}", simulated(ENDLESS)
    with (
        BadNetwork(listen, delay_s=0.005) as network,
        SpawnedRun(tmp_path, settings(simulation, listen, "local = false\ntimeout_s = 3")) as run,
        Node(tmp_path, network.endpoint, node1) as silent,
    ):
        run.wait_for_frames(100)
        network.stall(True)
        with Node(tmp_path, listen, keyring.create_client("node2", Role.WORK)) as other:
            other.wait_until_it_says("fits for")
            run.wait_for_frames(run.committed + 200)
            silent.wait_until_it_says("nothing was heard")
            network.stall(False)
            until(lambda: silent.printed.count("fits for") == 2, lambda: silent.printed)
            run.wait_for_frames(run.committed + 100)
            stop(run)
            finished_whole(run, simulation.model_copy(update={"frames": None}))
    told = worker_events(run)
    assert any("(node1) has not answered for 3 s; the frames that it held" in text for _, text in told), told
    assert sum("(node1) joined" in text for _, text in told) == 2


def test_workers_come_and_go_and_serve_one_run_after_the_other(tmp_path: Path, keyring: Keyring, node1: Path) -> None:
    listen, simulation = f"tcp://127.0.0.1:{free_ports(1)}", simulated(ENDLESS)
    with SpawnedRun(_made(tmp_path / "one"), settings(simulation, listen)) as run:
        until(lambda: "locstream worker --connect" in run.printed, lambda: run.printed)
        with Node(tmp_path, listen, keyring.create_client("node2", Role.WORK), count=2) as first:
            until(lambda: first.printed.count("fits for") == 2, lambda: first.printed)
            run.wait_for_frames(50)
            (victim, *_) = psutil.Process(first.process.pid).children()
            victim.kill()
            run.wait_for_frames(run.committed + 50)
            until(lambda: first.printed.count("fits for") == 3, lambda: first.printed)
            with Node(tmp_path, listen, node1) as second:
                second.wait_until_it_says("fits for")
                assert first.leave() == 0
                run.wait_for_frames(run.committed + 50)
                stop(run)
                finished_whole(run, simulation.model_copy(update={"frames": None}))
                following = simulated(100)
                with SpawnedRun(_made(tmp_path / "two"), settings(following, listen)) as next_run:
                    finished_whole(next_run, following)
                assert second.leave() == 0
    told = worker_events(run)
    assert sum("(node2) joined" in text for _, text in told) == 3
    assert sum("(node2) has left" in text for _, text in told) == 2
    assert sum("(node1) joined" in text for _, text in worker_events(next_run)) == 1


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path, node1: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"tcp://127.0.0.1:{other.getsockname()[1]}"
        with SpawnedRun(tmp_path, settings(simulated(10), listen)) as run:
            assert run.process.wait(300) == 1
            assert f"the work socket cannot be bound to {listen}" in run.printed
            assert "Traceback" not in run.printed
    assert not run.files.live_results.exists()


PRETEND = "import {module} as m, sys; m.{name} = {value}; from locstream.cli import main; sys.exit(main())"


def test_who_must_not_work_is_told_why_and_nobody_else_notices(
    tmp_path: Path, keyring: Keyring, node1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen, simulation = f"tcp://127.0.0.1:{free_ports(1)}", simulated(ENDLESS)
    viewer, stranger = keyring.create_client("office", Role.VIEW), Keyring(tmp_path / "other")
    unknown = tmp_path / "unknown.key.json"
    pair = stranger.create_client("node1", Role.WORK).read_text()
    unknown.touch(mode=0o600)
    unknown.write_text(pair.replace(stranger.server().public, keyring.server().public))
    elsewhere = stranger.create_client("node9", Role.WORK)

    def differing(name: str, value: str) -> list[str]:
        pretend = PRETEND.format(module="locstreamd.fit.serve", name=name, value=value)
        return [sys.executable, "-c", pretend, "worker"]

    with (
        SpawnedRun(tmp_path, settings(simulation, listen, "count = 1")) as run,
        Node(tmp_path, listen, viewer) as watching,
        Node(tmp_path, listen, unknown) as alien,
        Node(tmp_path, listen, elsewhere) as lost,
        Node(tmp_path, listen, None) as keyless,
        Node(tmp_path, listen, node1, differing("__version__", "'0.0.7'")) as older,
        Node(tmp_path, listen, node1, differing("sources_digest", "lambda: '0123456789ab'")) as changed,
    ):
        for node, reasons in (
            (watching, ["refused this computer's key", "role work"]),
            (alien, ["refused this computer's key"]),
            (older, ["0.0.7", __version__]),
            (changed, ["0123456789ab", sources_digest()]),
        ):
            assert node.wait_until_it_ends() == 1
            assert all(reason in node.printed for reason in reasons), node.printed
        for node in (lost, keyless):
            node.wait_until_it_says("--keys")
            assert node.process.poll() is None, "whoever listens there may yet become the right one"
        run.wait_for_frames(100)
        stop(run)
        finished_whole(run, simulation.model_copy(update={"frames": None}))
    told = worker_events(run)
    assert [kind for kind, _ in told].count("WorkerRefused") == 2
    assert not any("(" in text.split(":")[0] for kind, text in told if kind == "WorkerJoined"), "only its own"


# --- with packets that get lost: network namespaces ---------------------------------------------------------------


@pytest.fixture
def line() -> Iterator[Callable[..., BadLine]]:
    """Return a function that puts a bad line between two computers; skips where this machine does not let us."""
    made: list[BadLine] = []

    def make(**how: float) -> BadLine:
        bad_line = BadLine(**how)
        try:
            bad_line.__enter__()
        except NotPossibleError as error:
            pytest.skip(str(error))
        made.append(bad_line)
        return bad_line

    yield make
    for each in made:
        each.__exit__(None, None, None)


FOLLOW = """
import sys
from pathlib import Path
from locstream import connect
from locstream.stream.digest import RowsDigest
digest = RowsDigest()
with connect(sys.argv[1], keys=Path(sys.argv[2]), start=0, timeout_s=180) as client:
    for rows in client:
        digest.add(rows)
print(digest.hexdigest())
"""


def test_over_a_lossy_line_everything_is_fitted_and_followed(
    tmp_path: Path, keyring: Keyring, node1: Path, line: Callable[..., BadLine]
) -> None:
    """100 frames of 256 × 256 px a second, 20 ms each way, one packet in a hundred lost; the other end also watches."""
    simulation = simulated(400, 256, exposure_ms=10.0, emitters_per_frame=20.0)
    bad = line(delay_s=0.02, loss=0.01)
    config = settings(simulation, f"tcp://*:{PORT}") + f'[stream]\nlisten = "tcp://*:{STREAM}"\n'
    viewer = keyring.create_client("office", Role.VIEW)
    follow = bad.at(bad.far, sys.executable, "-c", FOLLOW, f"tcp://{bad.near}:{STREAM}", viewer)
    with (
        SpawnedRun(tmp_path, config, bad.at(bad.near)) as run,
        Follower(follow, tmp_path) as follower,
        Node(tmp_path, f"tcp://{bad.near}:{PORT}", node1, bad.at(bad.far, *Node.COMMAND)),
    ):
        finished_whole(run, simulation)
        assert follower.finish() == file_digest(run.files.results)
        print("", *run.printed.splitlines()[-9:], f"{bad.lost} of {bad.packets} packets lost", sep="\n")
    assert bad.lost > 20


def test_a_cable_that_is_cut_and_mended_loses_nothing(
    tmp_path: Path, node1: Path, line: Callable[..., BadLine]
) -> None:
    """For longer than TCP waits: the worker is given up, and comes back by itself."""
    simulation, bad = simulated(ENDLESS), line(delay_s=0.002)
    with (
        SpawnedRun(tmp_path, settings(simulation, f"tcp://*:{PORT}"), bad.at(bad.near)) as run,
        Node(tmp_path, f"tcp://{bad.near}:{PORT}", node1, bad.at(bad.far, *Node.COMMAND)) as node,
    ):
        run.wait_for_frames(100)
        bad.cut = True
        until(lambda: "is lost" in node.printed or "nothing was heard" in node.printed, lambda: node.printed)
        until(lambda: "| no fit worker" in run.printed.splitlines()[-1], lambda: run.printed)
        bad.cut = False
        until(lambda: node.printed.count("fits for") == 2, lambda: node.printed)
        run.wait_for_frames(run.committed + 100)
        stop(run)
        finished_whole(run, simulation.model_copy(update={"frames": None}))
    told = worker_events(run)
    assert [kind for kind, _ in told] == ["WorkerJoined", "WorkerLost", "WorkerJoined"]
    assert "frames that it held" in told[1][1]
