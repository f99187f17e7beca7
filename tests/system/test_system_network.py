"""A real run that asks for keys: who has the right one sees every row, nobody else sees or hurts anything."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from child_processes import PUBLISHER, children
from keyed_run import SETTINGS, KeyedRun, free_ports
from knocking import Knocking
from locstream.errors import LocstreamError
from locstream.results.reader import ResultsReader, read_results
from locstream.stream.client import connect
from locstream.stream.control import ask, control_endpoint
from locstream.stream.digest import file_digest
from locstream.stream.keys import ClientKeys, KeyPair, Keyring, Role, secure_client
from locstream.stream.messages import Request, Status
from locstream.stream.wire import pack
from own_keys import keyring_for

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedRun]:
    """Return a run that goes on until all tests here have done their worst; then see that nothing is missing."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as environment:
        keyring = keyring_for(environment, folder / "keys")
        with KeyedRun(folder, keyring) as run:
            run.wait_for_frames(1)
            yield run
            ask(run.connection().control, "stop", timeout_s=60)
            finished_whole(run)
            with ResultsReader(run.files.results) as reader:
                assert any(event["EventDescr"].startswith(b"refused: ") for event in reader.events)


def status_of(run: KeyedRun) -> Status:
    status = ask(run.connection().control, "status", timeout_s=60).status
    assert status is not None
    return status


def refused(run: KeyedRun) -> Counter[str]:
    stages = status_of(run).stages
    assert stages is not None
    return Counter(stages.refused)


def rejected(run: KeyedRun, at: str) -> int:
    stages = status_of(run).stages
    assert stages is not None
    return stages.rejected[at]


def finished_whole(run: KeyedRun) -> None:
    """See that nothing is missing from what was recorded, fitted and filed."""
    frames = run.finish()["frames"]
    assert frames["acquired"] == frames["fitted"] > 0
    assert read_results(run.files.results).frames["frame"].tolist() == list(range(frames["acquired"]))


def kill_publisher(run: KeyedRun) -> None:
    for publisher in children(PUBLISHER, run.process.pid):
        publisher.kill()


def test_who_comes_late_has_every_row_whoever_dies_or_is_revoked_meanwhile(tmp_path: Path, keyring: Keyring) -> None:
    with KeyedRun(tmp_path, keyring) as run:
        run.wait_for_frames(50)
        with run.client(run.keys("ann")) as leaving, run.client(run.keys("bob", Role.CONTROL)) as staying:
            rows = iter(staying)
            got = [next(rows)]
            assert staying.ended is None
            assert got[0]["frame"][0] == 0
            next(iter(leaving))
            for _ in range(2):
                kill_publisher(run)
                got.append(next(rows))
            assert leaving.status().state == "acquiring"
            run.keyring.revoke("ann")
            with pytest.raises(LocstreamError, match="refused this computer's key"):
                for _ in leaving:
                    pass
            assert status_of(run).state == "acquiring", "it ended for her alone"
            assert "the camera stops" in staying.stop()
            got += list(rows)
            assert staying.missing == 0
            assert staying.ended is not None
            assert staying.ended.verified
        finished_whole(run)
        table = read_results(run.files.results).table
        assert b"".join(part.tobytes() for part in got) == table.tobytes()
        assert staying.ended.digest == file_digest(run.files.results)


def stranger(run: KeyedRun) -> ClientKeys:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    return ClientKeys("eve", KeyPair(public, secret), run.keyring.server().public)


def pretender(run: KeyedRun) -> ClientKeys:
    keys = run.keys("bob")
    return ClientKeys(keys.name, keys.pair, zmq.curve_keypair()[0].decode())


@pytest.mark.parametrize(
    ("keys_of", "reason", "told"),
    [
        (stranger, "unknown key", "refused this computer's key"),
        (lambda run: run.keys("node1", Role.WORK), "role", "refused this computer's key"),
        (pretender, "handshake", "nothing came"),
        (lambda run: None, "handshake", "nothing came"),
    ],
    ids=["unknown key", "worker's key", "key of another server", "no key"],
)
def test_who_has_not_the_right_key_sees_nothing_and_is_counted(
    run: KeyedRun,
    wait_until: Callable[..., None],
    keys_of: Callable[[KeyedRun], ClientKeys | None],
    reason: str,
    told: str,
) -> None:
    keys, before = keys_of(run), refused(run)[reason]
    with run.client(keys, timeout_s=1.0) as client, pytest.raises(LocstreamError, match=told):
        next(iter(client))
    with pytest.raises(LocstreamError, match=told if "key" in told else "did not answer"):
        ask(run.control, "status", timeout_s=1.0, keys=keys)
    wait_until(lambda: refused(run)[reason] >= before + 2, what=f"two refusals, {reason}")
    assert client.next_row == 0
    assert "refused: " in run.printed


def test_a_viewer_may_not_stop_the_camera_and_is_told_why(run: KeyedRun) -> None:
    ann, before = run.keys("viewer"), refused(run)["request"]
    control = control_endpoint(run.stream, ann)
    assert ask(control, "status", timeout_s=60, keys=ann).ok
    for verb in ("stop", "abort", "start"):
        with pytest.raises(LocstreamError, match=f"viewer is admitted with the role view; {verb} needs control"):
            ask(control, verb, timeout_s=60, keys=ann)
    assert refused(run)["request"] == before + 3
    assert status_of(run).state == "acquiring"


def test_one_whose_control_was_taken_back_may_not_use_the_connection_that_is_open(run: KeyedRun) -> None:
    keys = run.keys("left", Role.CONTROL)
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.linger = 0
        secure_client(dealer, keys)
        dealer.connect(run.control)
        dealer.send_multipart(pack(Request(id=1, verb="status")))
        assert dealer.poll(60_000)
        dealer.recv_multipart()
        run.keyring.revoke("left")
        dealer.send_multipart(pack(Request(id=2, verb="abort")))
        if dealer.poll(2_000):  # else it was cut off before
            assert b"left is admitted no longer" in b"".join(dealer.recv_multipart())
    assert status_of(run).state == "acquiring"


NONSENSE = [
    [b""],
    [b"\xc1"],
    [b"x" * 60_000],
    [b"\x91" * 10_000],
    [bytes(pack(Request(id=1, verb="status"))[0])[:7]],
    [b"", b"", b""],
]
"""What an admitted client might send that is no request."""


def test_nonsense_of_one_who_is_admitted_is_counted_and_hurts_nobody(
    run: KeyedRun, wait_until: Callable[..., None]
) -> None:
    keys = run.keys("fuzzer")
    with zmq.Context() as context:
        for endpoint, at in ((run.control, "control"), (run.history, "history")):
            counted = rejected(run, at) + len(NONSENSE)
            with context.socket(zmq.DEALER) as dealer:
                dealer.linger = 0
                secure_client(dealer, keys)
                dealer.connect(endpoint)
                for parts in NONSENSE:
                    dealer.send_multipart(parts)
                wait_until(lambda at=at, counted=counted: rejected(run, at) == counted, what=f"{counted} at {at}")
                dealer.send(bytes(70_000))  # over the limit: the connection is cut, and comes back
                dealer.send_multipart(pack(Request(id=7, verb="status")))
        with context.socket(zmq.SUB) as viewer:
            viewer.linger = 0
            secure_client(viewer, keys)
            viewer.connect(run.stream)
            viewer.subscribe(b"x" * 100_000)
            viewer.subscribe(b"hello")
    with run.client(keys) as client:
        assert client.status().state == "acquiring"
        assert len(next(iter(client)))


def test_floods_from_outside_keep_nobody_from_the_record(run: KeyedRun) -> None:
    """A viewer asks for the status without end and reads no answer, and one without a key knocks as fast as it goes."""
    keys, before = run.keys("flooder"), refused(run)["handshake"]
    fitted = status_of(run).ledger.fitted
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer, Knocking(run.control), Knocking(run.stream):
        dealer.linger = 0
        secure_client(dealer, keys)
        dealer.connect(run.control)
        request = pack(Request(id=1, verb="status"))
        asked = 0
        deadline = time.monotonic() + 60
        while asked < 2_000 or refused(run)["handshake"] < before + 500 or status_of(run).ledger.fitted < fitted + 50:
            assert time.monotonic() < deadline, f"{asked} asked, {refused(run)}"
            with contextlib.suppress(zmq.Again):
                for _ in range(200):
                    dealer.send_multipart(request, zmq.NOBLOCK)
                    asked += 1
        status = status_of(run)
        assert status.state == "acquiring"
        assert status.ledger.camera_dropped == 0


class Wiretap:
    """Stands between a client and a server, keeps what the client sends; use it as a context manager."""

    def __init__(self, endpoint: str) -> None:
        self.heard = b""
        self._target = endpoint.removeprefix("tcp://").rsplit(":", 1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lines: tuple[socket.socket, ...] = ()
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def dial(self) -> socket.socket:
        """Connect to the server."""
        return socket.create_connection((self._target[0], int(self._target[1])), timeout=60)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            inside, outside = self._lines = self._listener.accept()[0], self.dial()
            back = threading.Thread(target=self._copy, args=(outside, inside), daemon=True)
            back.start()
            self._threads.append(back)
            self._copy(inside, outside, keep=True)

    def _copy(self, source: socket.socket, sink: socket.socket, *, keep: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self.heard += data if keep else b""
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)  # a close would not wake the other thread

    def __enter__(self) -> Wiretap:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=60)
        for line in self._lines:
            line.close()


def test_what_was_overheard_opens_nothing(run: KeyedRun, wait_until: Callable[..., None]) -> None:
    """The bytes of a request that was granted, sent again by somebody else: whole, cut short, and altered."""
    with Wiretap(run.control) as tap:
        ask(tap.endpoint, "status", timeout_s=60, keys=run.keys("overheard"))
    assert len(tap.heard) > 300
    assert b"status" not in tap.heard
    altered = bytearray(tap.heard)
    altered[-5] ^= 1
    before = refused(run)
    for forged in (tap.heard, tap.heard[:150], bytes(altered)):
        with tap.dial() as line:
            with contextlib.suppress(OSError):  # the server may hang up meanwhile
                line.sendall(forged)
                line.shutdown(socket.SHUT_WR)
            got = b""
            with contextlib.suppress(OSError):
                while data := line.recv(65_536):
                    got += data
        assert len(got) < 1_000, "a greeting, and no status"
    wait_until(lambda: refused(run)["handshake"] >= before["handshake"] + 3, what="three forged handshakes")
    assert refused(run)["request"] == before["request"]


@pytest.mark.parametrize("listen", ["tcp://*:{}", "tcp://127.0.0.1:{}"])
def test_without_a_key_of_its_own_it_does_not_begin_and_names_the_command(
    locstream: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listen: str
) -> None:
    monkeypatch.setenv("LOCSTREAM_KEYS_DIR", str(tmp_path / "keys"))
    keys = "keys = true\n" if "127" in listen else ""
    (tmp_path / "run.toml").write_text(f'[simulation]\n[stream]\nlisten = "{listen.format(free_ports(3))}"\n{keys}')
    command = locstream("run", "run.toml", "--out", "data")
    assert command.finish() == 1
    assert "`locstream keys server`" in command.err
    assert "nothing was started" in command.err
    assert not list((tmp_path / "data").glob("*"))


def test_on_all_interfaces_it_asks_for_keys_without_being_told(tmp_path: Path, keyring: Keyring) -> None:
    with KeyedRun(tmp_path, keyring, listen='"tcp://*:{port}"') as run:
        run.wait_for_frames(1)
        with run.client(None, timeout_s=1.0) as client, pytest.raises(LocstreamError, match="nothing came"):
            next(iter(client))
        with run.client(run.keys("ann", Role.CONTROL)) as client:
            assert len(next(iter(client)))
            client.stop()
        finished_whole(run)


def test_a_service_is_steered_from_another_computer(
    locstream: Callable[..., Any], tmp_path: Path, keyring: Keyring, wait_until: Callable[..., None]
) -> None:
    port = free_ports(3)
    stream = f"tcp://127.0.0.1:{port}"
    where = f'[acquisition]\nfolder = "{tmp_path}/data"\n[stream]\nlisten = "{stream}"\nkeys = true\n'
    (tmp_path / "serve.toml").write_text(where + SETTINGS)
    keys = {name: keyring.create_client(name, role) for name, role in (("ann", Role.VIEW), ("bob", Role.CONTROL))}
    service = locstream("serve", "serve.toml", "--state", tmp_path / "state")

    def told(*command: str | Path) -> tuple[int, str, str]:
        started = locstream(*command)
        return started.finish(), started.out, started.err

    def idle() -> bool:
        assert service.process.poll() is None
        return "idle" in told("status", stream, "--keys", keys["ann"])[1]

    wait_until(idle, 180, "the service")
    status, _, err = told("start", stream, "--keys", keys["ann"], "--name", "cell1")
    assert status == 1
    assert "ann is admitted with the role view; start needs control" in err
    assert told("start", stream, "--keys", keys["bob"], "--name", "cell1")[0] == 0
    with connect(stream, keys=keys["ann"], timeout_s=60) as client:
        next(iter(client))
        assert client.hello is not None
        assert client.hello.name == "cell1"
        assert told("stop", stream, "--keys", keys["bob"])[0] == 0
        for _ in client:
            pass
        assert client.ended is not None
        assert client.ended.verified
    wait_until(idle, what="the service to be idle again")
    service.process.terminate()
    assert service.finish() == 0
