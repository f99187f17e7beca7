"""Several workers on one computer: started again when they are killed, ended together."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from locstream.errors import LocstreamError
from locstreamd.fit import node
from locstreamd.fit.worker import Teller, command
from waiting import until

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "locstream-worker.service"
SLEEP = "import time; time.sleep(600)"


class Doing:
    """What somebody does to a node from a thread while it runs; an error there is an error of the test."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self.error: AssertionError | psutil.Error | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._act()
        except (AssertionError, psutil.Error) as error:
            self.error = error
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    def end(self) -> None:
        self._thread.join()
        if self.error is not None:
            raise self.error


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Return a function that says what runs instead of a worker."""

    def runs(text: str) -> None:
        path = tmp_path / "program"
        path.write_text(f"#!{sys.executable}\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setattr(node.sys, "executable", str(path))

    return runs


def children() -> list[psutil.Process]:
    """Return those that run in place of a worker, and not what other tests have running."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if any(part.endswith("/program") for part in child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


def test_killed_workers_are_started_again_and_all_end_with_the_node(
    program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "AGAIN_S", 0.0)
    program(SLEEP)

    def kill_one() -> None:
        until(lambda: len(children()) == 2)
        victim = children()[0]
        victim.kill()
        until(lambda: len(children()) == 2 and victim not in children())

    doing = Doing(kill_one)
    assert node.run_node(2, []) == 0
    doing.end()
    assert children() == []


def test_one_that_does_not_leave_is_killed(program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "LEAVE_S", 0.3)
    program(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); {SLEEP}")
    doing = Doing(lambda: until(lambda: len(children()) == 1))
    assert node.run_node(1, []) == 0
    doing.end()
    assert children() == []


def test_when_all_have_left_the_node_ends(program: Callable[[str], None]) -> None:
    program("pass")
    assert node.run_node(3, []) == 0


def test_one_that_is_turned_away_takes_the_others_along(program: Callable[[str], None], tmp_path: Path) -> None:
    """They are all alike: the reason holds for each."""
    program(
        f"import os, sys\ntry:\n    os.mkdir({str(tmp_path / 'first')!r})\nexcept FileExistsError:\n    {SLEEP}\n"
        "sys.exit(1)"
    )
    assert node.run_node(2, []) == 1
    assert children() == []


def test_the_signals_are_as_before(program: Callable[[str], None]) -> None:
    before = [signal.getsignal(number) for number in node.STOP_SIGNALS]
    program("pass")
    node.run_node(1, [])
    assert [signal.getsignal(number) for number in node.STOP_SIGNALS] == before


def test_the_unit_says_what_the_command_understands() -> None:
    """Its line, with its own values in place of the variables: nothing is missing but the keys."""
    lines = [line.split("=", 1) for line in UNIT.read_text().splitlines() if "=" in line]
    values = dict(value.split("=", 1) for key, value in lines if key == "Environment")
    (started,) = (value.split() for key, value in lines if key == "ExecStart")
    words = [values[word[2:-1]] if word.startswith("${") else word for word in started]
    with pytest.raises(LocstreamError, match=r"node\.key\.json cannot be read"):
        command(words[words.index("worker") + 1 :])


def test_fewer_than_none_is_refused() -> None:
    with pytest.raises(LocstreamError, match="--count -1"):
        command(["--connect", "tcp://127.0.0.1:1", "--count", "-1"])


def test_a_sentence_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    tell = Teller()
    for text in ("waits", "waits", "fits", "waits"):
        tell(text)
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == ["waits", "fits", "waits"]
