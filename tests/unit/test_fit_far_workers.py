"""Workers that somebody else started: they come, are lost and come back, and every frame counts once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from fake_workers import CALIBRATION, Bench, FakeWorker, join
from keyed_run import free_ports
from locstream import __version__
from locstream.errors import ConfigError
from locstream.kernel_cache import sources_digest
from locstream.results.frames import FrameOutcome
from locstream.stream.keys import ClientKeys, Keyring, Role
from locstream.stream.wire import PROTOCOL, pack
from locstreamd.fit import crew
from locstreamd.fit.roster import ATTEMPTS
from locstreamd.fit.work import Beat, Goodbye, Leave, Ready, Refused, Rejoin, refusal
from locstreamd.fit.work_socket import WorkSocket
from locstreamd.gatehouse import Gatehouse
from own_keys import keys_of


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(crew, "BEAT_S", 0.0)
    bench = Bench(f"ipc://{tmp_path}/work", frames=20)
    yield bench
    bench.close()


def kinds(bench: Bench) -> list[str]:
    """Return what has happened to workers."""
    return [kind for kind, _ in bench.news]


def holding(bench: Bench, instance: str = "far", credits_: int = 3) -> FakeWorker:
    """Return a far worker that holds so many frames."""
    worker = bench.join(None, credits_=credits_, instance=instance)
    bench.dispatcher.send(0)
    assert len(worker.take()) == credits_
    return worker


def test_the_frames_of_one_that_is_gone_go_to_another(bench: Bench) -> None:
    """Nobody tells us of its process; that no sign of life can be sent does."""
    gone = holding(bench)
    gone.socket.close()
    bench.until(lambda: "WorkerLost" in kinds(bench))
    assert "frames that it held (3)" in bench.news[-1][1]
    assert bench.dispatcher.outstanding == 3
    other = bench.join(None, credits_=4)
    bench.dispatcher.send(0)
    assert other.take() == [0, 1, 2, 3]


def test_only_those_that_nobody_watches_get_signs_of_life(bench: Bench) -> None:
    own, far = bench.join(pid=4), bench.join(None)
    bench.until(lambda: Beat in [type(message) for message in far.hear()])
    assert Beat not in [type(message) for message in own.hear()]


def test_one_that_connects_anew_has_given_up_what_it_held(bench: Bench) -> None:
    """Its old connection may still seem to be there."""
    holding(bench, "node1")
    again = bench.join(None, credits_=2, instance="node1")
    assert bench.dispatcher.crew.ready == 1
    assert bench.dispatcher.outstanding == 3
    bench.dispatcher.send(0)
    assert again.take() == [0, 1]
    assert kinds(bench) == ["WorkerJoined", "WorkerLost", "WorkerJoined"]


@pytest.mark.parametrize("instance", ["node1", ""])
def test_one_that_introduces_itself_twice_over_one_connection_has_given_up_what_it_held(
    bench: Bench, instance: str
) -> None:
    worker = holding(bench, instance, credits_=2)
    worker.join(2, pid=None, instance=instance)
    bench.until(lambda: bench.joined == 2)
    assert (bench.dispatcher.crew.ready, bench.dispatcher.outstanding) == (1, 2)
    bench.dispatcher.send(0)
    assert worker.take() == [0, 1]
    for index in (0, 1):
        worker.answer(index)
    assert [settled.index for settled in bench.results(2)] == [0, 1]
    assert bench.dispatcher.outstanding == 0


def test_two_that_say_nothing_of_themselves_are_two(bench: Bench) -> None:
    bench.join(None)
    bench.join(None)
    assert bench.dispatcher.crew.ready == 2


def test_a_late_answer_is_not_counted_and_its_sender_connects_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = holding(bench, "late", credits_=1)
    monkeypatch.setattr(bench.dispatcher.crew, "_timeout_s", 0.0)
    bench.until(lambda: "WorkerLost" in kinds(bench))
    assert bench.dispatcher.crew.hung() == [], "no process of ours"
    monkeypatch.setattr(bench.dispatcher.crew, "_timeout_s", 60.0)
    other = bench.join(None, credits_=1, instance="other")
    bench.dispatcher.send(0)
    assert other.take() == [0]
    late.answer(0)
    bench.until(lambda: Rejoin in [type(message) for message in late.hear()])
    other.answer(0)
    (settled,) = bench.results(1)
    assert settled.index == 0
    assert bench.dispatcher.outstanding == 0
    assert bench.dispatcher.rejected == 0


def test_an_answer_that_comes_twice_counts_once(bench: Bench) -> None:
    worker = holding(bench, credits_=2)
    for index in (0, 0, 1, 0):
        worker.answer(index)
    assert [settled.index for settled in bench.results(2)] == [0, 1]
    bench.dispatcher.send(2)
    assert worker.take() == [2, 3]


def test_a_bad_line_fails_no_frame(bench: Bench) -> None:
    """Its worker comes back each time, so it was not the frame."""
    for _ in range(3 * ATTEMPTS):
        worker = holding(bench, "node1", credits_=1)
        worker.socket.close()
        bench.until(lambda: bench.dispatcher.crew.ready == 0)
    worker = holding(bench, "node1", credits_=1)
    worker.answer(0)
    (settled,) = bench.results(1)
    assert (settled.index, settled.outcome) == (0, FrameOutcome.FITTED)


def test_a_frame_on_which_workers_die_for_good_fails(bench: Bench) -> None:
    for count in range(ATTEMPTS):
        worker = holding(bench, f"victim{count}", credits_=2)
        worker.socket.close()
        bench.until(lambda: bench.dispatcher.crew.ready == 0)
    (settled,) = bench.found
    assert (settled.index, settled.outcome) == (0, FrameOutcome.FAILED)
    survivor = bench.join(None, credits_=2)
    bench.dispatcher.send(0)
    assert survivor.take() == [1, 2], "the second frame that they held is not to blame"


def test_one_that_leaves_gives_its_frames_back_at_once(bench: Bench) -> None:
    leaving = holding(bench)
    leaving.say(*pack(Goodbye()))
    bench.until(lambda: "WorkerLost" in kinds(bench))
    assert "has left" in bench.news[-1][1]
    other = bench.join(None, credits_=3)
    bench.dispatcher.send(0)
    assert other.take() == [0, 1, 2]


@pytest.mark.parametrize(
    ("said", "both"),
    [
        ({"version": "0.0.7"}, ("0.0.7", __version__)),
        ({"kernels": "0123456789ab"}, ("0123456789ab", sources_digest())),
        ({"kernels": ""}, ("unknown", sources_digest())),
    ],
    ids=["version", "kernels", "no kernels"],
)
def test_who_differs_is_turned_away_with_both_sides_named(
    bench: Bench, said: dict[str, str], both: tuple[str, str]
) -> None:
    stranger = bench.worker()
    for _ in range(3):  # it tries again, as one does that systemd starts
        stranger.say(*pack(join(**said)))
    reasons = heard_reasons(bench, stranger, 3)
    assert all(name in reasons[0] for name in both)
    assert bench.dispatcher.crew.ready == 0
    assert kinds(bench) == ["WorkerRefused"], "told once"
    assert reasons[0] in bench.dispatcher.crew.last_refusal


def test_two_that_take_turns_are_told_once_each(bench: Bench) -> None:
    strangers = {version: bench.worker() for version in ("0.0.7", "0.0.8")}
    for _ in range(3):
        for version, stranger in strangers.items():
            stranger.say(*pack(join(version=version)))
            (reason,) = heard_reasons(bench, stranger)
            assert version in reason
            assert version in bench.dispatcher.crew.last_refusal
    assert kinds(bench) == ["WorkerRefused", "WorkerRefused"]


def heard_reasons(bench: Bench, stranger: FakeWorker, count: int = 1) -> list[str]:
    """Return why somebody gets no work, as they are told."""
    reasons: list[str] = []

    def told() -> bool:
        reasons.extend(message.reason for message in stranger.hear() if isinstance(message, Leave))
        return len(reasons) >= count

    bench.until(told)
    return reasons


def test_another_protocol_is_turned_away_with_both_sides_named(bench: Bench) -> None:
    stranger = bench.worker()
    stranger.say(*pack(join(protocol=PROTOCOL + 1)))
    (reason,) = heard_reasons(bench, stranger)
    assert f"protocol {PROTOCOL + 1}" in reason
    assert f"speaks {PROTOCOL}" in reason


def test_another_calibration_is_turned_away(bench: Bench) -> None:
    stranger = bench.worker()
    stranger.say(*pack(join(pid=None)))
    stranger.say(*pack(Ready(credits=2, calibration="feedbeeffeedbeef")))
    (reason,) = heard_reasons(bench, stranger)
    assert "feedbeeffeed" in reason
    assert CALIBRATION.digest()[:12] in reason
    bench.dispatcher.send(0)
    assert stranger.take() == []


def test_one_that_cannot_work_holds_no_frames(bench: Bench) -> None:
    worker = holding(bench)
    worker.say(*pack(Refused(index=None, reason="no memory")))
    bench.until(lambda: bench.dispatcher.crew.ready == 0)
    assert "no memory" in bench.dispatcher.crew.last_refusal
    assert bench.dispatcher.outstanding == 3


def test_who_has_not_joined_is_told_to(bench: Bench) -> None:
    stranger = bench.worker()
    stranger.answer(3)
    bench.until(lambda: Rejoin in [type(message) for message in stranger.hear()])
    assert bench.found == []


def test_lanes_may_differ() -> None:
    assert refusal(join(lanes=4)) == refusal(join(lanes=16)) == ""


# --- keys -----------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return a dispatcher that listens on loopback, too, and asks for keys there."""
    monkeypatch.setattr(crew, "BEAT_S", 0.0)
    bench = Bench(f"ipc://{tmp_path}/work", frames=20, listen=f"tcp://127.0.0.1:{free_ports(1)}")
    yield bench
    bench.close()


def connected(bench: Bench, keys: ClientKeys) -> FakeWorker:
    """Return a worker of another computer that has joined."""
    (endpoint,) = bench.gatehouse.endpoints(bench.dispatcher.socket)
    worker, before = bench.worker(endpoint, keys), bench.joined
    worker.join(2, pid=4, instance=keys.name)
    bench.until(lambda: bench.joined > before)
    return worker


def test_one_with_a_key_works_under_its_name(guarded: Bench, keyring: Keyring) -> None:
    """The process id that it claims is none of this computer, and must not be ended here."""
    worker = connected(guarded, keys_of(keyring, "node1", Role.WORK))
    assert guarded.news[-1][1].startswith("worker 1 (node1) joined")
    guarded.dispatcher.send(0)
    assert worker.take() == [0, 1]
    assert guarded.dispatcher.bury([4]) == []
    assert (guarded.dispatcher.crew.ready, guarded.dispatcher.crew.own) == (1, 0)
    worker.answer(1)
    (settled,) = guarded.results(1)
    assert settled.index == 1


def test_the_frames_of_one_that_is_revoked_go_to_another(guarded: Bench, keyring: Keyring) -> None:
    worker = connected(guarded, keys_of(keyring, "node1", Role.WORK))
    guarded.dispatcher.send(0)
    assert worker.take() == [0, 1]
    keyring.revoke("node1")
    worker.answer(0)
    guarded.until(lambda: guarded.dispatcher.crew.ready == 0)
    assert guarded.found == [], "its word does not count any more"
    assert guarded.dispatcher.outstanding == 2
    local = guarded.join(7)
    guarded.dispatcher.send(0)
    assert local.take() == [0, 1]


def test_one_whose_role_was_changed_is_cut_off_though_it_says_nothing(guarded: Bench, keyring: Keyring) -> None:
    keys = keys_of(keyring, "node1", Role.WORK)
    connected(guarded, keys)
    keyring.admit("node1", keys.pair.public, Role.VIEW)
    guarded.until(lambda: guarded.dispatcher.crew.ready == 0)
    assert "admitted no longer" in guarded.news[-1][1]


def test_without_a_key_of_its_own_the_instrument_does_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCSTREAM_KEYS_DIR", str(tmp_path / "none"))
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    gatehouse = Gatehouse(context)
    with pytest.raises(ConfigError, match="needs a key"):
        WorkSocket(context, f"ipc://{tmp_path}/work", gatehouse, f"tcp://127.0.0.1:{free_ports(1)}")
    gatehouse.close()
    context.term()
