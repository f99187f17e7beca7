"""A process that has omero-py and does over the wire what a test says, one step after the other (wire_probe.py)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from omero_wire.answering import Answering

HERE = Path(__file__).resolve().parent


class WireError(Exception):
    """What the server answered instead of a result: the name of the exception, and its message."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(f"{answer['error']}: {answer['message']}")
        self.name: str = answer["error"]
        self.message: str = answer["message"]
        self.failing: dict[str, str] = answer.get("failing", {})


class Probe(Answering):
    """The functions of wire_probe.py by their names: ``probe("login", "a", url=…)``."""

    def __init__(self, python: Path) -> None:
        super().__init__([str(python), "-W", "ignore", str(HERE / "wire_probe.py")], subprocess.DEVNULL)

    def __call__(self, do: str, *args: Any, **named: Any) -> Any:
        """Do one thing.

        Raises
        ------
        WireError
            The server answered with an exception.
        """
        self.tell(json.dumps({"do": do, "args": args, **named}))
        answer = self.answer()
        if "error" in answer:
            raise WireError(answer)
        return answer["result"]
