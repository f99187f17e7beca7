"""The one command: verbs by entry point, one message for a user's error."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

import locstream
from locstream import cli
from locstream.errors import LocstreamError

VERBS = {
    "abort",
    "serve",
    "start",
    "config",
    "demo",
    "fit",
    "recover",
    "replay",
    "run",
    "status",
    "stop",
    "tail",
    "worker",
}


class Point:
    """An entry point that needs no package."""

    def __init__(self, command: cli.Command) -> None:
        self._command = command

    def load(self) -> cli.Command:
        return self._command


def test_the_projects_verbs_are_installed() -> None:
    assert set(cli.verbs()) >= VERBS


def test_a_verb_gets_the_arguments_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Sequence[str]] = []

    def command(arguments: Sequence[str]) -> int:
        seen.append(list(arguments))
        return 3

    monkeypatch.setattr(cli, "verbs", lambda: {"speak": Point(command)})
    assert cli.main(["speak", "--loud", "word", "--help"]) == 3
    assert seen == [["--loud", "word", "--help"]]


def test_a_users_error_is_one_message(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def command(arguments: Sequence[str]) -> int:
        raise LocstreamError("the cable came off", safe="12 frames", todo="plug it in")

    monkeypatch.setattr(cli, "verbs", lambda: {"run": Point(command)})
    assert cli.main(["run"]) == 1
    assert capsys.readouterr().err == "locstream run: the cable came off\n  Safe: 12 frames\n  Next: plug it in\n"


def test_a_programmers_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(arguments: Sequence[str]) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "verbs", lambda: {"run": Point(command)})
    with pytest.raises(ZeroDivisionError):
        cli.main(["run"])


def test_an_interrupt_ends_with_the_shells_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(arguments: Sequence[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "verbs", lambda: {"run": Point(command)})
    assert cli.main(["run"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_version_and_help_are_quick_words() -> None:
    done = subprocess.run([sys.executable, "-m", "locstream", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"locstream {locstream.__version__}\n"


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    assert f"locstream {verb}" in capsys.readouterr().out


def test_an_unknown_verb_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["fly"])
    assert ended.value.code == 2
    assert "replay" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_help_says_what_each_verb_does(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def speak(arguments: Sequence[str]) -> int:
        """Say one thing
        loudly. Then rest.
        """
        return 0

    monkeypatch.setattr(cli, "verbs", lambda: {"speak": Point(speak)})
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    assert "  speak             Say one thing loudly\n" in capsys.readouterr().out
