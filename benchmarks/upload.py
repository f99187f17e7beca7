"""File a run in OMERO, as large as real ones are: is memory flat, and what does it cost beside a plain copy?

    python benchmarks/upload.py [--gb 2] [--rows 1e7]

A stack and a table are made up and finished as every run is. `locstream upload now` files them with the stand-in OMERO
server of the tests, once a tenth of them and once all, over Ice on the loopback. Beside it the same files are copied
through a socket on the same loopback, written to the same disk: once as they are, and once with what filing does
besides, SHA-256 before, SHA-1 at both ends. Uploader, server and copy share this machine's processors.
It needs the environment of tests/omero_wire/make_environment.py. No real OMERO server is involved: its disks, its
database and the network between are not measured here.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from contest import table
from machine import statement

from locstream.bundle.bundle import Bundle, open_bundles
from locstream.bundle.files import RunFiles
from locstream.bundle.finish import Ending, finish_run, finish_stack
from locstream.calibration.camera import CameraCalibration
from locstream.localizations import LOCALIZATION
from locstream.rendering.options import RenderOptions
from locstream.results.file import ResultsWriter
from locstream.results.final import finalize
from locstream.results.frames import FrameOutcome, frame_records
from locstream.results.header import ResultsHeader
from locstream.results.ledger import Ledger
from locstream.stacks.live import LiveStackWriter
from locstream.stacks.source import SourceInfo
from omero_wire.make_environment import python_of_environment
from omero_wire.stand_in_process import StandIn
from omero_wire.uploader import variables

PX = 512
BLOCK = 4 * 2**20
LOCSTREAM = str(Path(sys.executable).parent / "locstream")


def make_run(folder: Path, stack_bytes: float, rows: int) -> Bundle:
    """Finish a run of about so many bytes of frames and so many localizations."""
    files = RunFiles(folder, "run")
    files.prepare()
    rng = np.random.default_rng(1)
    frames = max(10, round(stack_bytes / (2 * PX * PX)))
    source = SourceInfo(camera="made up", width=PX, height=PX, exposure_ms=20.0)
    calibration = CameraCalibration(100.0, offset_adu=100.0, gain_e_per_adu=0.5, read_noise_e=1.5)
    noise = rng.poisson(200, (16, PX, PX)).astype(np.uint16)
    with LiveStackWriter(files.live_stack, PX, PX) as stack:
        for number in range(frames):
            stack.append(noise[number % 16] + np.uint16(number % 251), number, 1.7e9 + 0.02 * number)
    header = ResultsHeader.from_source(
        source, calibration, acquisition_id=f"bench-{frames}-{rows}", name="run", started_s=1.7e9, fit={}, config={}
    )
    ledger = Ledger()
    counts = np.diff(np.linspace(0, rows, frames + 1).astype(int))
    with ResultsWriter(files.live_results, header, calibration=calibration) as results:
        for number, count in enumerate(counts):
            table = np.zeros(count, LOCALIZATION)
            table["frame"] = number
            for name, low, high in (("x_nm", 0, 51_000), ("y_nm", 0, 51_000), ("photons", 200, 4_000)):
                table[name] = rng.uniform(low, high, count)
            for name in ("sigma_x_nm", "sigma_y_nm"):
                table[name] = 130.0
            for name in ("x_uncertainty_nm", "y_uncertainty_nm"):
                table[name] = 10.0
            results.append(table, frame_records(number, 1.7e9 + 0.02 * number, int(count), FrameOutcome.FITTED))
            ledger.acquire(number)
            ledger.settle(number, FrameOutcome.FITTED)
    finalize(files.live_results, files.results, {"outcome": "complete", "ledger": ledger.snapshot().as_dict()})
    finish_stack(files, source)
    finish_run(files, source, Ending("complete", None, ledger.snapshot(), 1.7e9, 1.7e9 + 100), RenderOptions())
    return open_bundles(folder)[0]


class Uploaded:
    """One upload by the command: wall and processor time, greatest memory."""

    def __init__(self, bundle: Bundle, server: StandIn, python: Path, home: Path) -> None:
        environment = {**variables(python, home), "LOCSTREAM_RUNTIME_DIR": str(home / "rt")}
        config = home / "config" / "locstream"
        config.mkdir(parents=True)
        (home / "rt").mkdir(mode=0o700)
        config.joinpath("upload.toml").write_text(f'nice = 0\n[omero]\nhost = "{server.url}"\ngroup = "lab"\n')

        def run(*words: str, typed: str = "") -> None:
            command = [LOCSTREAM, *words]
            subprocess.run(command, input=typed, text=True, env=environment, check=True, stdout=subprocess.DEVNULL)

        run("omero", "login", "--user", "ada", "--password-from-stdin", typed="secret\n")
        run("upload", "add", str(bundle.files.folder))
        began_s = time.monotonic()
        process = subprocess.Popen([LOCSTREAM, "upload", "now"], env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        watching = threading.Thread(target=self._watch, args=(process.pid,))
        watching.start()
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode or "is filed" not in said:
            raise RuntimeError(said)
        self.seconds = time.monotonic() - began_s
        self.processor_s = used.ru_utime + used.ru_stime
        watching.join()

    def _watch(self, pid: int) -> None:
        """Keep the high-water mark of resident memory; what wait4 gives counts what the process was forked from."""
        self.peak_mb = 0.0
        while True:
            try:
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                return
            found = re.search(r"VmHWM:\s+(\d+) kB", status)
            if found is None:  # it has ended
                return
            self.peak_mb = int(found[1]) / 1024
            time.sleep(0.05)


def copy(bundle: Bundle, target: Path, *, checked: bool) -> float:
    """Send every file through a socket on the loopback to a thread that writes it; return the seconds."""
    target.mkdir()
    began_s = time.monotonic()
    if checked:
        bundle.check()
    for path in (*bundle.paths, bundle.files.crate):
        ours, theirs = hashlib.sha1(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            receiver = threading.Thread(
                target=_receive, args=(listening, target / path.name, theirs if checked else None)
            )
            receiver.start()
            with socket.create_connection(listening.getsockname()) as out, path.open("rb") as file:
                while block := file.read(BLOCK):
                    if checked:
                        ours.update(block)
                    out.sendall(block)
            receiver.join()
        if ours.digest() != theirs.digest():
            raise RuntimeError(f"{path.name} did not arrive as it was")
    return time.monotonic() - began_s


def _receive(listening: socket.socket, target: Path, sha1: hashlib._Hash | None) -> None:
    connection, _ = listening.accept()
    with connection, target.open("wb") as file:
        while block := connection.recv(BLOCK):
            if sha1 is not None:
                sha1.update(block)
            file.write(block)


def _row(what: str, sent_mb: float, seconds: float) -> list[str]:
    return [what, f"{sent_mb:,.0f}", f"{seconds:.1f}", f"{sent_mb / seconds:.0f}"]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=2.0, help="size of the stack, GB (%(default)g)")
    parser.add_argument("--rows", type=float, default=1e7, help="localizations (%(default)g)")
    parser.add_argument("--folder", type=Path, help="where to work; needs four times the size (the temporary folder)")
    given = parser.parse_args()
    python = python_of_environment()
    if python is None:
        print("omero-py is not installed: python tests/omero_wire/make_environment.py", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="upload-", dir=given.folder) as there:
        folder = Path(there)
        rows = []
        for part in (0.1, 1.0):
            bundle = make_run(folder / f"run-{part}", part * given.gb * 1e9, int(part * given.rows))
            sent = (bundle.n_bytes + bundle.files.crate.stat().st_size) / 1e6
            with StandIn(python, folder / f"server-{part}") as server:
                found = Uploaded(bundle, server, python, folder / f"home-{part}")
            rows.append(_row(f"filed, {part * given.rows:,.0f} rows", sent, found.seconds))
            rows[-1] += [f"{found.processor_s:.1f}", f"{found.peak_mb:.0f}", "1.00"]
        for words, checked in (("plain copy", False), ("copy with the same checksums", True)):
            seconds = copy(bundle, folder / words, checked=checked)
            rows.append([*_row(words, sent, seconds), "", "", f"{seconds / found.seconds:.2f}"])
        head = ["", "MB", "s", "MB/s", "processor (s)", "max RSS (MB)", "time of filing = 1"]
        print(statement("shared by uploader, server and copy"), table(head, rows), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
