"""The client in another language: it reproduces the test vectors, and every row of a stream whose server is killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from locstream.results.layout import live_path
from locstream.results.reader import ResultsReader, read_results
from locstream.stream.control import ask
from locstream.stream.digest import file_digest
from locstream.stream.keys import Keyring, Role
from locstreamd.gatehouse import Gatehouse
from spawned_run import SpawnedRun
from stream_server import Server, ServerThread

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("package.json", "protocol.js", "client.js", "watch.js", "vectors.test.js")


@pytest.fixture(scope="module")
def program() -> Path:
    """The client with the packages that it needs, in the build folder."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not on this computer (Debian: nodejs, npm)")
    folder = ROOT / "build" / "node-client"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (ROOT / "clients" / "node" / "package.json").read_text()
    fresh = not (folder / "node_modules" / "zeromq").exists() or (folder / "package.json").read_text() != wanted
    for name in SOURCES:
        shutil.copy(ROOT / "clients" / "node" / name, folder / name)
    if fresh:
        shutil.rmtree(folder / "node_modules", ignore_errors=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot install the packages of the client: {done.stderr[-300:]}")
    return folder


def test_the_vectors_mean_the_same_there(program: Path) -> None:
    env = {**os.environ, "VECTORS": str(ROOT / "docs" / "vectors" / "protocol-1.json")}
    done = subprocess.run(["node", "--test"], cwd=program, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    vectors = json.loads((ROOT / "docs" / "vectors" / "protocol-1.json").read_text("utf-8"))["vectors"]
    assert f"pass {len(vectors) + 1}" in done.stdout


def test_it_has_every_row_of_a_server_that_was_killed(program: Path, tmp_path: Path) -> None:
    stream, control = f"ipc://{tmp_path}/stream", f"ipc://{tmp_path}/control"
    serve = [sys.executable, str(ROOT / "tests" / "stream_server.py"), str(tmp_path), stream, control, "1500"]
    server = subprocess.Popen(serve)
    watch = subprocess.Popen(["node", "watch.js", stream, control], cwd=program, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        live = live_path(tmp_path, "killed")
        while not live.exists() or frames(live) < 500:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        server.kill()
        server.wait()
        server = subprocess.Popen(serve)
        out, _ = watch.communicate(timeout=120)
    finally:
        for process in (server, watch):
            process.kill()
            process.wait()
    told = json.loads(out)
    assert told["verified"] is True
    assert told["sha256"] == file_digest(live)
    assert told["outcome"] == "complete"


def frames(live: Path) -> int:
    with ResultsReader(live) as reader:
        return reader.n_frames


def test_it_follows_a_live_run_to_its_end(program: Path, tmp_path: Path) -> None:
    settings = "[simulation]\nwidth = 64\nheight = 64\nframes = 1000000\nexposure_ms = 5.0\nemitters_per_frame = 8\n"
    with SpawnedRun(tmp_path, settings) as run:
        connection = run.connection()
        file = tmp_path / "connection.json"
        file.write_bytes(msgspec.json.encode(connection))
        early = [str(file)]
        late = [connection.stream, connection.history, "300"]
        run.wait_for_frames(200)
        watching = [
            subprocess.Popen(
                ["node", "watch.js", *where], cwd=program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for where in (early, late)
        ]
        try:
            for each in watching:
                assert each.stderr is not None
                assert each.stderr.readline().startswith("row ")  # it follows
            ask(connection.control, "stop")
            told = [json.loads(each.communicate(timeout=120)[0]) for each in watching]
        finally:
            for each in watching:
                each.kill()
                each.wait()
        assert run.finish()["outcome"] == "stopped"
        rows = len(read_results(run.files.results).table)
        digests = [file_digest(run.files.results), file_digest(run.files.results, 300)]
    assert [each["rows"] for each in told] == [rows, rows - 300]
    assert [each["sha256"] for each in told] == digests
    assert [each["verified"] for each in told] == [True, None]
    assert {each["outcome"] for each in told} == {"stopped"}


def test_it_is_admitted_by_its_key(program: Path, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "keys")
    keys = keyring.create_client("browser", Role.VIEW)
    local = f"ipc://{tmp_path}/stream", f"ipc://{tmp_path}/control"
    with ServerThread(lambda: Server(tmp_path, *local, gatehouse=lambda c: Gatehouse(c, keyring))) as server:
        server.do(lambda s: s.begin("a"))
        server.do(lambda s: [s.commit() for _ in range(10)])
        ends = server.do(lambda s: s.guarded)
        assert isinstance(ends, tuple)
        command = ["node", "watch.js", *ends, "0", str(keys)]
        watch = subprocess.Popen(command, cwd=program, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not server.do(lambda s: s.gatehouse is not None and s.gatehouse._gate and s.gatehouse._gate._inside):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        server.do(Server.end)
        out, _ = watch.communicate(timeout=60)
    assert json.loads(out)["sha256"] == file_digest(live_path(tmp_path, "a"))
