"""From the camera's frame to its localizations on disk, published, and in a client: 512², 100 frames/s, 150 molecules.

    python benchmarks/latency.py [--quick]

Committed and published are the run's own numbers, as its results file keeps them: over the latest frames, from the time
at which the camera gave a frame. The client (`locstream.connect`, asyncio) is a process of its own on the same machine,
and notes when it has the rows of each frame of the second half: over ipc, over tcp, over tcp with CURVE, and the same
through a proxy that keeps every byte for 20 ms in each direction.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
from contest import table
from followers import Followers
from machine import statement

from bad_network import BadNetwork
from keyed_run import free_ports
from locstream.results.reader import read_results
from locstream.stream.endpoints import CONTROL, HISTORY, port_after
from locstream.stream.keys import Keyring, Role
from spawned_run import SpawnedRun

SIMULATION = """
[simulation]
width = 512
height = 512
frames = {frames}
exposure_ms = {exposure_ms}
emitters_per_frame = 150
[workers]
count = {workers}
"""
EXPOSURE_MS = 10.0
DELAY_S = 0.02


def main() -> int:
    """Print a row for each number of workers and for each way to a client; return 1 where a client lacks a row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 s instead of 30")
    frames = 500 if parser.parse_args().quick else 3_000
    print(statement("all used, also by the simulated camera"), end="\n\n")
    header = ["workers", "frames/s", "committed p50 (ms)", "p99", "published p50 (ms)", "p99", "p99 in frame periods"]
    print(table(header, [row(workers, frames) for workers in (1, 2)]), end="\n\n")
    header = ["way to the client", "frame period (ms)", "committed p50 (ms)", "p99", "in the client p50 (ms)", "p99"]
    header += ["p99 in frame periods", "incomplete"]
    rows = [client_row(way, frames) for way in WAYS]
    print(table(header, rows))
    return 1 if any(incomplete != "0" for *_, incomplete in rows) else 0


def row(workers: int, frames: int) -> list[str]:
    """Return what one run says of itself."""
    settings = SIMULATION.format(frames=frames, exposure_ms=EXPOSURE_MS, workers=workers)
    with tempfile.TemporaryDirectory(prefix="latency-") as folder, SpawnedRun(Path(folder), settings) as run:
        fps = run.finish()["speed"]["acquired_fps"]
        latency = read_results(run.files.results).summary["latency"]
    numbers = [latency[stage][p] for stage in ("committed", "published") for p in ("p50_ms", "p99_ms")]
    return [f"{workers}", f"{fps:.1f}", *(f"{ms:.1f}" for ms in numbers), f"{numbers[-1] / EXPOSURE_MS:.2f}"]


class Way(NamedTuple):
    """How a client is connected."""

    name: str
    tcp: bool = True
    keys: bool = False
    delay_s: float = 0.0


WAYS = (
    Way("ipc", tcp=False),
    Way("tcp, loopback"),
    Way("tcp, loopback, CURVE", keys=True),
    Way(f"tcp, CURVE, {1e3 * DELAY_S:g} ms each way", keys=True, delay_s=DELAY_S),
)


def client_row(way: Way, frames: int) -> list[str]:
    """Return when the rows of a run are in a client."""
    address = f"tcp://127.0.0.1:{free_ports(3)}"
    with tempfile.TemporaryDirectory(prefix="latency-") as name:
        folder = Path(name)
        os.environ["LOCSTREAM_KEYS_DIR"] = str(folder / "keys")
        keys = Keyring().create_client("client", Role.VIEW) if way.keys else None
        settings = SIMULATION.format(frames=frames, exposure_ms=EXPOSURE_MS, workers=1) + _listen(way, address)
        with SpawnedRun(folder, settings) as run, places(way, run, address) as where:
            with Followers(folder, 1, [*where, *(["--keys", str(keys)] if keys else [])]) as followers:
                run.finish()
                (noted,) = followers.finish()
            results = read_results(run.files.results)
    committed = results.summary["latency"]["committed"]
    p50_ms, p99_ms = np.percentile(noted.latencies_ms(results, frames // 2), (50, 99))
    times = [committed["p50_ms"], committed["p99_ms"], p50_ms, p99_ms]
    ratio = f"{p99_ms / EXPOSURE_MS:.2f}"
    return [way.name, f"{EXPOSURE_MS:g}", *(f"{ms:.1f}" for ms in times), ratio, "0" if noted.good else "**1**"]


def _listen(way: Way, address: str) -> str:
    """Return the part of a configuration that opens the stream."""
    return f'[stream]\nlisten = "{address}"\nkeys = {str(way.keys).lower()}\n' if way.tcp else ""


@contextmanager
def places(way: Way, run: SpawnedRun, address: str) -> Iterator[list[str]]:
    """Give what the client is told of where the run is: behind a slow line, if it is to be."""
    here = run.connection()
    ends = [address if way.tcp else here.stream, here.history, here.control]
    if way.keys:
        ends = [address, *(str(port_after(address, ports)) for ports in (HISTORY, CONTROL))]
    with ExitStack() as stack:
        if way.delay_s:
            ends = [stack.enter_context(BadNetwork(end, delay_s=way.delay_s)).endpoint for end in ends]
        stream, history, control = ends
        yield [stream, "--history", history, "--control", control]


if __name__ == "__main__":
    sys.exit(main())
