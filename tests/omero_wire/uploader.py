"""Gives orders to an uploader in a process of its own; see uploader_process.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

from locstream.omero.client_library import VARIABLE
from omero_wire.stand_in_process import StandIn

PROCESS = Path(__file__).with_name("uploader_process.py")
PEOPLE = Path(__file__).with_name("people.py")
PATIENCE_S = 120


class Refused(Exception):  # noqa: N818  an answer, not a fault of the test
    """The uploader raised an error for its user."""

    def __init__(self, answer: dict[str, str]) -> None:
        super().__init__(answer["what"])
        self.kind, self.what, self.safe, self.todo = (answer[key] for key in ("error", "what", "safe", "todo"))


def variables(omero_python: Path, home: Path) -> dict[str, str]:
    """Return the environment of a process that files in OMERO, with a home of its own and nobody logged in."""
    found = {name: text for name, text in os.environ.items() if not name.startswith(("LOCSTREAM_", "OMERO_"))}
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")  # compiled kernels are there
    own = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_CONFIG_HOME": str(home / "config")}
    return {**found, **own, "XDG_CACHE_HOME": cache, VARIABLE: str(omero_python.parents[1])}


def people_find(python: Path, url: str, user: str, password: str, image: int, folder: Path) -> dict[str, Any]:
    """Return what OMERO's own clients find from an image on; see people.py."""
    folder.mkdir()
    words = [url, user, password, str(image), str(folder)]
    done = subprocess.run(
        [python, "-W", "ignore", PEOPLE, *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class Uploader:
    """An uploader that waits for orders.

    Parameters
    ----------
    omero_python
        The interpreter that has omero-py: where its library is taken from.
    home
        Where it keeps its keys.
    """

    def __init__(self, omero_python: Path, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._log = (home / "uploader.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(PROCESS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=variables(omero_python, home),
        )

    def __enter__(self) -> Uploader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()
        self._log.close()

    @property
    def pid(self) -> int:
        """Number of its process."""
        return self._process.pid

    def begin(self, do: str, **what: Any) -> None:
        """Give an order and wait for nothing."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self._process.stdin.flush()

    def order(self, do: str, **what: Any) -> Any:
        """Give an order and return the answer; raise `Refused` where it was an error for the user."""
        self.begin(do, **what)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, (
            f"the uploader ended with status {self._process.wait(PATIENCE_S)}: {Path(self._log.name).read_text()}"
        )
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer)
        return answer["value"]


def new_in(server: StandIn, before: list[str], *ours: tuple[str, str]) -> list[str]:
    """Return what a server holds more than before, with words in place of names that were chosen for this time."""
    more = Counter(server.census()) - Counter(before)
    lines = list(more.elements())
    for name, word in ours:
        lines = [line.replace(name, word) for line in lines]
    return sorted(lines)
