"""Gives orders to an uploader in a process of its own; see uploader_process.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from locstream.omero.client_library import VARIABLE
from omero_wire.answering import PATIENCE_S, Answering
from omero_wire.stand_in_process import StandIn

PROCESS = Path(__file__).with_name("uploader_process.py")
PEOPLE = Path(__file__).with_name("people.py")


class RefusedError(Exception):
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


class Uploader(Answering):
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
        with (home / "uploader.log").open("w") as log:
            super().__init__([sys.executable, str(PROCESS)], log, variables(omero_python, home))
        self._log = home / "uploader.log"

    def begin(self, do: str, **what: Any) -> None:
        """Give an order and wait for nothing."""
        self.tell(json.dumps({"do": do, **what}))

    def order(self, do: str, **what: Any) -> Any:
        """Give an order and return the answer; raise `RefusedError` where it was an error for the user."""
        self.begin(do, **what)
        try:
            answer = self.answer()
        except RuntimeError as error:
            raise AssertionError(self._log.read_text()) from error
        if "error" in answer:
            raise RefusedError(answer)
        return answer["value"]


def new_in(server: StandIn, before: list[str], *ours: tuple[str, str]) -> list[str]:
    """Return what a server holds more than before, with words in place of names that were chosen for this time."""
    more = Counter(server.census()) - Counter(before)
    lines = list(more.elements())
    for name, word in ours:
        lines = [line.replace(name, word) for line in lines]
    return sorted(lines)
